// Package wasm runs WebAssembly programs for WASI preview 1 inside of the endpoint program.
// A program sees its arguments and streams, what is granted, and nothing else of the host.
package wasm

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/tools/streams"
)

// Grant is what a WebAssembly program may use beside its streams and arguments.
type Grant struct {
	Folders   []Folder
	Variables []string // names, of this process
	Memory    int64    // bytes, at most
}

// Folder is a folder of the host that a program may read. No link leads out of it.
type Folder struct {
	Host  string
	Guest string // where the program sees it
}

const page = 64 << 10

// Run runs a WebAssembly program for WASI preview 1 and returns its exit status. It sees
// what is granted and nothing else of the host: no other files, no network, no programs.
// An error says that it did not run, or was ended.
func Run(ctx context.Context, name string, program io.Reader, arguments []string, standard streams.Standard, grant Grant) (int, error) {
	binary, err := streams.ReadProgram(name, program)
	switch {
	case err != nil:
		return 0, err
	case grant.Memory < page || grant.Memory > 4<<30:
		return 0, webjob.Errorf(webjob.Invalid, "memory is %d bytes; it must be 64 KiB to 4 GiB", grant.Memory)
	}
	config, closeFolders, err := grant.config()
	if err != nil {
		return 0, err
	}
	defer closeFolders()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(true).WithMemoryLimitPages(uint32(grant.Memory/page))) //nolint:gosec // checked above
	defer func() { _ = r.Close(context.WithoutCancel(ctx)) }()                                                                                    // the program ended
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return 0, webjob.Errorf(webjob.Internal, "WASI does not start: %w", err)
	}
	compiled, err := r.CompileModule(ctx, binary)
	if err != nil {
		return 0, webjob.Errorf(webjob.Invalid, "%s is not a WebAssembly program: %w", name, err)
	}
	_, err = r.InstantiateModule(ctx, compiled, config.WithArgs(append([]string{name}, arguments...)...).
		WithStdin(standard.In).WithStdout(standard.Out).WithStderr(standard.Err))
	var exit *sys.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, webjob.Errorf(webjob.Unavailable, "%s was ended: %w", name, context.Cause(ctx))
	case errors.As(err, &exit):
		return int(exit.ExitCode() & 0xff), nil
	case err != nil:
		return 0, webjob.Errorf(webjob.Invalid, "%s: %w", name, err)
	}
	return 0, nil
}

// config grants what is granted.
func (g Grant) config() (config wazero.ModuleConfig, closeFolders func(), err error) {
	folders := wazero.NewFSConfig()
	var roots []*os.Root
	closeFolders = func() {
		for _, root := range roots {
			_ = root.Close() // only read
		}
	}
	for _, f := range g.Folders {
		root, err := os.OpenRoot(f.Host)
		if err != nil {
			closeFolders()
			return nil, nil, webjob.Errorf(webjob.Invalid, "%s cannot be granted: %w", f.Host, err)
		}
		roots = append(roots, root)
		folders = folders.WithFSMount(root.FS(), f.Guest)
	}
	config = wazero.NewModuleConfig().WithFSConfig(folders).WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime().WithSysNanosleep()
	for _, name := range g.Variables {
		if value, found := os.LookupEnv(name); found {
			config = config.WithEnv(name, value)
		}
	}
	return config, closeFolders, nil
}
