package main

import (
	"context"
	"errors"

	"webjob.dev/webjob/internal/blob/files"
	"webjob.dev/webjob/internal/server"
	"webjob.dev/webjob/internal/store/sqlite"
)

// openBackends is where adapters are chosen.
func openBackends(ctx context.Context, metadataFile, blobsFolder string) (server.Backends, error) {
	store, err := sqlite.Open(ctx, metadataFile)
	if err != nil {
		return server.Backends{}, err
	}
	blobs, err := files.Open(blobsFolder)
	if err != nil {
		return server.Backends{}, errors.Join(err, store.Close())
	}
	return server.Backends{Store: store, Blobs: blobs}, nil
}
