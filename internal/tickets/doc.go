// Package tickets notices that two hold the identity of one client, and never takes one
// holder for two. It has both halves: a client's [Holder] keeps where it is on a line of
// tickets in a small file, and the server's [Book] judges what clients show.
//
// A ticket is a number and a value; the value is the client's own choice by chance, and
// the server's code beside it says that it was told. A step shows the newest ticket and
// tells the value of the next one, which was made durable before, so that for each
// ticket there is one value that follows, whatever crashes, is lost, comes twice or comes
// late. Everything else rests on that one sentence; docs/design.md has the argument, and
// the tests walk it at random with crashes at every point.
//
// The package knows no HTTP and no SQL: tickets come and go as text in headers of
// package wire, and the [Store] keeps one small row a line.
package tickets
