package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/bundle"
	"webjob.dev/webjob/internal/endpoint/collect"
)

const (
	payloadRounds = 11
	hashedBytes   = 1 << 30
	bundleFiles   = 1000
	manyFiles     = 512 // that are hashedBytes together
	textBytes     = 256 << 20
)

// payloadCosts measures what jobs are made of beside the tools of the host: digests,
// bundles, and the start of the shell.
func payloadCosts() error {
	dir, err := os.MkdirTemp(".", "bench-*")
	if err != nil {
		return err
	}
	figures, err := measurePayloads(context.Background(), dir)
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		return err
	}
	return report("payloads", figures)
}

func measurePayloads(ctx context.Context, dir string) ([]figure, error) {
	large, tree := filepath.Join(dir, "large"), filepath.Join(dir, "tree")
	block := make([]byte, 16<<20)
	if _, err := rand.Read(block); err != nil {
		return nil, err
	}
	if err := os.WriteFile(large, bytes.Repeat(block, hashedBytes/len(block)), 0o600); err != nil {
		return nil, err
	}
	for i := range bundleFiles {
		file := filepath.Join(tree, fmt.Sprintf("d%02d", i%20), fmt.Sprintf("f%d", i))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, block[i*1024:i*1024+2048], 0o600); err != nil {
			return nil, err
		}
	}
	run := filepath.Join(tree, "run.sh")
	if err := os.WriteFile(run, []byte("#!/bin/sh\nexit 0\n"), 0o700); err != nil { //nolint:gosec // a program
		return nil, err
	}
	packed, contents, err := bundle.PackBytes(tree, true)
	if err != nil {
		return nil, err
	}
	archive := filepath.Join(dir, "tree.tar.zst")
	if err := os.WriteFile(archive, packed, 0o600); err != nil {
		return nil, err
	}
	text := filepath.Join(dir, "text")
	line := []byte("Nov 24 12:30:59 web1 sshd[1234]: Accepted publickey for alice from 10.0.0.1 port 50122 ssh2: RSA 1764000000123\n")
	if err := os.WriteFile(text, bytes.Repeat(line, textBytes/len(line)), 0o600); err != nil {
		return nil, err
	}
	many := filepath.Join(dir, "many")
	if err := os.Mkdir(many, 0o700); err != nil {
		return nil, err
	}
	for i := range manyFiles { // all different
		content := append(fmt.Appendf(nil, "%08d", i), block[:hashedBytes/manyFiles-8]...)
		if err := os.WriteFile(filepath.Join(many, fmt.Sprint(i)), content, 0o600); err != nil {
			return nil, err
		}
	}
	var manyCollected, manyRatio []float64
	var search, grep, collected, collectRatio []float64
	var hash, sha, hashRatio, ours, theirs, bundleRatio, shell, sh []float64
	for round := range payloadRounds {
		ourHash, err1 := timed(exec.CommandContext(ctx, "bin/webjob", "hash", large))
		theirHash, err2 := timed(exec.CommandContext(ctx, "sha256sum", large))
		out := filepath.Join(dir, fmt.Sprintf("out%d", round))
		ourBundle, err3 := unpackAndRun(ctx, out+"-ours", func(to string) error {
			f, err := os.Open(archive)
			if err != nil {
				return err
			}
			return errors.Join(bundle.Unpack(f, to, contents.Bytes), f.Close())
		})
		theirBundle, err4 := unpackAndRun(ctx, out+"-theirs", func(to string) error {
			return exec.CommandContext(ctx, "tar", "--zstd", "-xf", archive, "-C", to).Run()
		})
		theirMany, err10 := timed(exec.CommandContext(ctx, "sh", "-c", `sha256sum "$1"/* >/dev/null`, "sh", many))
		ourMany, err11 := collectAll(ctx, many+"/*", filepath.Join(dir, "contents"))
		ourCollect, err7 := collectAll(ctx, large, filepath.Join(dir, "contents"))
		ourSearch, err8 := timed(exec.CommandContext(ctx, "bin/webjob", "sh", "-c", `find-numbers "$1"; test $? = 1`, "sh", text))
		theirSearch, err9 := timed(exec.CommandContext(ctx, "sh", "-c", `LC_ALL=C grep -cE '(^|[^0-9])[0-9]{16}([^0-9]|$)' "$1"; test $? = 1`, "sh", text))
		ourShell, err5 := timed(exec.CommandContext(ctx, "bin/webjob", "sh", "-c", ":"))
		theirShell, err6 := timed(exec.CommandContext(ctx, "sh", "-c", ":"))
		if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11); err != nil {
			return nil, err
		}
		const mb = hashedBytes / 1e6 * 1000
		hash, sha, hashRatio = append(hash, mb/ourHash), append(sha, mb/theirHash), append(hashRatio, theirHash/ourHash)
		manyCollected, manyRatio = append(manyCollected, mb/ourMany), append(manyRatio, theirMany/ourMany)
		search, grep = append(search, textBytes/1e3/ourSearch), append(grep, textBytes/1e3/theirSearch)
		collected, collectRatio = append(collected, mb/ourCollect), append(collectRatio, theirHash/ourCollect)
		ours, theirs, bundleRatio = append(ours, ourBundle), append(theirs, theirBundle), append(bundleRatio, ourBundle/theirBundle)
		shell, sh = append(shell, ourShell), append(sh, theirShell)
	}
	return []figure{
		newFigure("hash-webjob", "MB/s", "", hash), newFigure("hash-sha256sum", "MB/s", "", sha), newFigure("hash-ratio", "x", "at least 0.8", hashRatio),
		newFigure("collect-webjob", "MB/s", "", collected), newFigure("collect-ratio", "x", "at least 0.8", collectRatio),
		newFigure("collect-many", "MB/s", "", manyCollected), newFigure("collect-many-ratio", "x", "at least 0.8", manyRatio),
		newFigure("numbers-webjob", "MB/s", "at least 200", search), newFigure("numbers-grep", "MB/s", "", grep),
		newFigure("bundle-webjob", "ms", "", ours), newFigure("bundle-tar", "ms", "", theirs), newFigure("bundle-ratio", "x", "at most 1.5", bundleRatio),
		newFigure("shell-webjob", "ms", "under 10", shell), newFigure("shell-sh", "ms", "", sh),
	}, nil
}

// collectAll returns the milliseconds that it takes to collect files of hashedBytes
// together: to read them, to digest them and what is kept, and to keep it, synced.
func collectAll(ctx context.Context, file, to string) (float64, error) {
	absolute, err := filepath.Abs(file)
	if err != nil {
		return 0, err
	}
	contents, err := os.Create(to)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	gathered, err := collect.Gather(ctx, collect.Rules{
		Bytes: 2 * hashedBytes, Collect: webjob.Collect{Files: []string{absolute}, MaxFiles: manyFiles, MaxBytes: hashedBytes},
	}, io.Discard, contents)
	err = errors.Join(err, contents.Sync(), contents.Close())
	took := float64(time.Since(start).Microseconds()) / 1000
	syscall.Sync() // what is measured next does not pay for this
	if gathered.Contents.Size != hashedBytes {
		err = errors.Join(err, fmt.Errorf("collected %d bytes", gathered.Contents.Size))
	}
	return took, errors.Join(err, os.Remove(to))
}

// unpackAndRun returns the milliseconds that it takes to unpack into a new folder and to
// run run.sh there.
func unpackAndRun(ctx context.Context, to string, unpack func(to string) error) (float64, error) {
	if err := os.Mkdir(to, 0o700); err != nil {
		return 0, err
	}
	start := time.Now()
	if err := unpack(to); err != nil {
		return 0, err
	}
	program, err := filepath.Abs(filepath.Join(to, "run.sh"))
	if err != nil {
		return 0, err
	}
	err = exec.CommandContext(ctx, program).Run()
	return float64(time.Since(start).Microseconds()) / 1000, errors.Join(err, os.RemoveAll(to))
}
