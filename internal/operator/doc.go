// Package operator is the work behind webjobctl: the operator's folder with keys
// and login, job descriptions on disk, and requests to a server's operator
// listener. It is the only package that reads private signing keys. What it
// publishes it signs here; the server gets signatures, never keys.
//
// A [Home] is the folder, and a [Session] the connection of who is logged in. From a
// session come the parts that the commands use, one for each thing that they are about:
// [Repository], [Jobs], [Orders], [Reviews], [Results], [Tokens] and [AuditLog].
package operator
