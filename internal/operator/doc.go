// Package operator is the work behind webjobctl: the operator's folder with keys
// and login, job descriptions on disk, and requests to a server's operator
// listener. It is the only package that reads private signing keys. What it
// publishes it signs here; the server gets signatures, never keys.
package operator
