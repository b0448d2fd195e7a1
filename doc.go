// Package webjob holds the domain of WebJob: what the words mean and which
// values are allowed. It imports the standard library only; every other package
// of the module builds on it.
//
// # The story in one page
//
// An organisation wants to run a known-good program on machines that it does not
// fully trust, and to gather what the program says.
//
// An operator writes a job: a program, a script, or a folder with a job.toml.
// "webjobctl job publish" describes it in a [Manifest], adds the manifest's digest
// to the job's index, and signs the index, which is part of the job repository, with
// keys that never leave the operator's machine (packages operator and trust, as all that
// are named here below internal). When enough people have signed, the server (package
// server, which wires its rooms, of which publish is the first) stores all of it in a
// [Store] (package store/sqlite) and in [Blobs] (package blob/files). The server only
// stores and forwards; it cannot sign.
//
// A client is an enrolled endpoint. At enrolment it makes its own key, gets a
// certificate whose common name is its client id, and pins the root of the job
// repository: the keys of the people who sign, and how many of them must.
//
// "webjob run JOB" (package endpoint) then walks the stages, one package each:
//
//	endpoint/fetch   GET what is new in the job repository, verify it, GET the payload
//	endpoint/runner  RUN it: private place, digest check, limits, whole tree ended
//	endpoint/spool   keep the result durably on the endpoint
//	endpoint/upload  PUT the result; only an acknowledgement deletes the copy
//
// The server receives the result (package results), makes it durable, and only then
// acknowledges it. The run's id is made on the endpoint before anything starts, so a repeated
// upload is recognised and never counted twice.
//
// "webjob agent" (package endpoint/agent) stays and waits for an [Order]: a signed
// statement that clients which a [Selector] means run one version of a job in a
// window, once, or at the times of a [Schedule] (package schedule). The server gives
// every client its runs as it polls (package dispatch), asks hooks before a get,
// a run and a put, and tells triggers afterwards (package hook). Package override
// says what holds for which client and job. Who is let in, as a client or as an operator,
// package identity decides.
//
// # Words
//
// Client, job, run, result and record mean the same thing in code, flags,
// tables, JSON and documents. A [Record] is what the endpoint says about one
// run; a [Result] is the record and its parts (stdout, stderr) as the server
// keeps them.
package webjob
