package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"webjob.dev/webjob/internal/trust"
)

// serveBare is the least that a server can do for the same duties: mutual TLS 1.3
// with the same certificates, GET of a file, PUT of a body into a new file that is
// synced before the answer. It verifies nothing and records nothing.
func serveBare(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: bench bare ADDRESS SERVERDIR DIR")
	}
	address, serverDir, dir := args[0], args[1], args[2]
	text, err := os.ReadFile(filepath.Join(serverDir, "pki", "server.pem"))
	if err != nil {
		return err
	}
	own, err := tls.X509KeyPair(text, text)
	if err != nil {
		return err
	}
	authority, err := x509.ParseCertificate(own.Certificate[1])
	if err != nil {
		return err
	}
	incoming := filepath.Join(dir, "incoming")
	if err := os.Mkdir(incoming, 0o700); err != nil {
		return err
	}
	var count atomic.Int64
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir(dir)))
	mux.HandleFunc("PUT /", func(w http.ResponseWriter, r *http.Request) {
		err := keep(filepath.Join(incoming, strconv.FormatInt(count.Add(1), 10)), r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	config := trust.ServerTLS(func() (*tls.Certificate, error) { return &own, nil }, authority)
	config.ClientAuth = tls.RequireAndVerifyClientCert
	server := &http.Server{Addr: address, Handler: mux, TLSConfig: config, ReadHeaderTimeout: 10 * time.Second}
	socket, err := tls.Listen("tcp", address, config)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "ready")
	return server.Serve(socket)
}

func keep(file string, body io.Reader) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	return errors.Join(err, f.Sync(), f.Close())
}
