package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/config"
	"webjob.dev/webjob/internal/tools/coreutils"
	"webjob.dev/webjob/internal/tools/download"
	"webjob.dev/webjob/internal/tools/lua"
	"webjob.dev/webjob/internal/tools/shell"
	"webjob.dev/webjob/internal/tools/streams"
	"webjob.dev/webjob/internal/tools/wasm"
)

func shCommand() *cobra.Command {
	var command string
	var list bool
	c := &cobra.Command{
		Use: "sh FILE [ARG...]", Short: "Run a POSIX shell script with the shell and tools in this program",
		Long: `Sh runs a script with nothing of the host: the shell and its tools are part of this
program and win over programs of the same name. A program of the host is run by its
path. Regular expressions are RE2's. FILE "-" is the standard input.

A job runs in it with interpreter = ["webjob", "sh"] in its job.toml.

Built in: ` + wrapped(coreutils.Names()),
		Example: `  webjob sh harvest.sh /var/log
  webjob sh -c 'ps | grep -c sshd'
  webjob sh -c 'wc -l "$1"' count /etc/passwd`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && command == "" && !list {
				return cli.Usagef("name a script, or give one with -c")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if list {
				_, err := fmt.Fprintln(c.OutOrStdout(), strings.Join(coreutils.Names(), "\n"))
				return err
			}
			name := "sh"
			if command != "" && len(args) > 0 { // as POSIX has it: sh -c COMMAND [NAME [ARG...]]
				name, args = args[0], args[1:]
			}
			return interpret(c, name, command, args, shell.Run)
		},
	}
	c.Flags().SetInterspersed(false)
	c.Flags().StringVarP(&command, "command", "c", "", "script itself, in place of FILE")
	c.Flags().BoolVar(&list, "list", false, "list the built-in tools")
	return c
}

// wrapped joins words into lines of at most 86 characters.
func wrapped(words []string) string {
	text, length := "", len("Built in: ")
	for _, word := range words {
		if length += len(word) + 1; length > 86 {
			text, length = strings.TrimSuffix(text, " ")+"\n", len(word)+1
		}
		text += word + " "
	}
	return strings.TrimSuffix(text, " ")
}

// interpreter runs a script and returns its status.
type interpreter func(ctx context.Context, name string, script io.Reader, arguments []string, standard streams.Standard) (int, error)

// interpret runs the text, or the file that is the first argument.
func interpret(c *cobra.Command, name, text string, args []string, run interpreter) error {
	script := io.Reader(strings.NewReader(text))
	if text == "" {
		name, args = args[0], args[1:]
		script = os.Stdin
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				return &cli.ExitError{Status: cli.StatusUsage, Err: err}
			}
			defer func() { _ = f.Close() }() // only read
			script = f
		}
	}
	status, err := run(c.Context(), name, script, args, streams.Standard{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	if err != nil {
		return &cli.ExitError{Status: cli.StatusUsage, Err: err}
	}
	if status != 0 {
		return &cli.ExitError{Status: status}
	}
	return nil
}

func luaCommand(state *string) *cobra.Command {
	var command string
	c := &cobra.Command{
		Use: "lua FILE [ARG...]", Short: "Run a Lua script with the interpreter in this program",
		Long: `Lua runs a Lua 5.1 script. The module webjob, which needs no require, has:

  read(FILE), save(FILE, TEXT)             whole files
  stat(FILE), walk(FOLDER, FUNCTION)       facts: type, size, mode, mtime, user, ...; returning false skips a folder
  hash(FILE, KIND...)                      sha256, or several kinds as a table
  exec({PROGRAM, ARG...}, INPUT)           status, stdout and stderr, without a shell
  get(URL, FILE, DIGEST)                   as webjob get
  json_encode, json_decode, csv_encode, csv_decode
  match(TEXT, RE2), find_all(TEXT, RE2)
  host()                                   name, os, arch, system, release, run, job, client

What fails returns nil and why. A job runs in it with interpreter = ["webjob", "lua"].`,
		Example: `  webjob lua -c 'print(webjob.hash("/bin/ls"))'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && command == "" {
				return cli.Usagef("name a script, or give one with -c")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			fetch := func(ctx context.Context, url, file string, digest webjob.Digest) (webjob.Digest, error) {
				identity, err := identityFor(*state, url)
				if err != nil {
					return "", err
				}
				got, _, err := download.Get(ctx, download.Request{URL: url, File: file, Digest: digest, Most: maxFetched, TLS: identity, Retries: 5})
				return got, err
			}
			return interpret(c, "lua", command, args, func(ctx context.Context, name string, script io.Reader, arguments []string, standard streams.Standard) (int, error) {
				return lua.Run(ctx, name, script, arguments, standard, fetch)
			})
		},
	}
	c.Flags().SetInterspersed(false)
	c.Flags().StringVarP(&command, "command", "c", "", "script itself, in place of FILE")
	return c
}

// maxFetched is the largest file that a script gets, in bytes.
const maxFetched = 16 << 30

func wasmCommand() *cobra.Command {
	var folders, variables []string
	var memory string
	c := &cobra.Command{
		Use: "wasm FILE [ARG...]", Short: "Run a WebAssembly program with the runtime in this program",
		Long: `Wasm runs a program for WASI preview 1. It sees its arguments and streams, the folders and
variables that are granted, and nothing else of the host: no other files, no network, no
programs. Folders are granted as HOST, which it sees under the same name, or HOST=GUEST.

A job grants them in its signed description:
  interpreter = ["webjob", "wasm", "--dir", "/etc", "--env", "WEBJOB_RUN_ID"]

What it has to say goes to its output: it cannot write files, and no link in a granted
folder leads out of it.`,
		Example: `  webjob wasm --dir /var/log=/logs scan.wasm /logs`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Usagef("name a program")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			var size config.Size
			if err := size.UnmarshalText([]byte(memory)); err != nil {
				return cli.Usagef("--memory: %w", err)
			}
			grant := wasm.Grant{Variables: variables, Memory: int64(size)}
			for _, text := range folders {
				host, guest, found := strings.Cut(text, "=")
				if !found {
					guest = host
				}
				grant.Folders = append(grant.Folders, wasm.Folder{Host: host, Guest: guest})
			}
			return interpret(c, "wasm", "", args, func(ctx context.Context, name string, program io.Reader, arguments []string, standard streams.Standard) (int, error) {
				return wasm.Run(ctx, name, program, arguments, standard, grant)
			})
		},
	}
	c.Flags().SetInterspersed(false)
	c.Flags().StringArrayVar(&folders, "dir", nil, "folder to read, HOST or HOST=GUEST; may be repeated")
	c.Flags().StringArrayVar(&variables, "env", nil, "name of a variable that the program gets")
	c.Flags().StringVar(&memory, "memory", "256MiB", "memory at most")
	return c
}
