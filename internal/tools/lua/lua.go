// Package lua runs Lua 5.1 scripts inside of the endpoint program, with a module webjob
// that gives them files, digests, programs and facts of the host. Modules come from beside
// the script; nothing of the host's Lua is used.
package lua

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/tools/hash"
	"webjob.dev/webjob/internal/tools/host"
	"webjob.dev/webjob/internal/tools/streams"
)

// Bounds of what a Lua function takes into memory at once, in bytes.
const (
	maxFile   = 256 << 20
	maxOutput = 64 << 20
)

// Fetch gets a URL into a file for webjob.get of a script, and returns the digest.
type Fetch func(ctx context.Context, url, file string, digest webjob.Digest) (webjob.Digest, error)

// Run runs a Lua 5.1 script with the arguments in arg and in "...", and with the module
// webjob, and returns its exit status, which is 1 after an error that nobody caught. An
// error says that the script did not run.
func Run(ctx context.Context, name string, script io.Reader, arguments []string, standard streams.Standard, fetch Fetch) (int, error) {
	text, err := streams.ReadScript(name, script)
	if err != nil {
		return 0, err
	}
	if bytes.HasPrefix(text, []byte("#!")) {
		text = append([]byte("--"), text...)
	}
	state := lua.NewState(lua.Options{CallStackSize: 1000, RegistrySize: 1 << 12, RegistryMaxSize: 1 << 20, RegistryGrowStep: 1 << 12})
	defer state.Close()
	state.SetContext(ctx)
	function, err := state.Load(bytes.NewReader(text), name)
	if err != nil {
		return 0, webjob.Errorf(webjob.Invalid, "%s", strings.TrimSpace(err.Error()))
	}
	l := &call{ctx: ctx, streams: standard, fetch: fetch}
	l.install(state, name, arguments)
	values := make([]lua.LValue, len(arguments))
	for i, a := range arguments {
		values[i] = lua.LString(a)
	}
	err = state.CallByParam(lua.P{Fn: function, Protect: true}, values...)
	switch {
	case l.exited:
		return l.status, nil
	case ctx.Err() != nil:
		return 0, webjob.Errorf(webjob.Unavailable, "%s was ended: %w", name, context.Cause(ctx))
	case err != nil:
		var failed *lua.ApiError
		message := err.Error()
		if errors.As(err, &failed) {
			message = failed.Object.String()
		}
		_, _ = io.WriteString(standard.Err, message+"\n") // nobody else to tell
		return 1, nil
	}
	return 0, nil
}

type call struct {
	ctx     context.Context
	streams streams.Standard
	fetch   Fetch
	exited  bool
	status  int
}

// install puts the module webjob in place, and in place of functions of the standard
// library those that use the streams of the run and end the script only.
func (l *call) install(state *lua.LState, name string, arguments []string) {
	arg := state.NewTable()
	arg.RawSetInt(0, lua.LString(name))
	for i, a := range arguments {
		arg.RawSetInt(i+1, lua.LString(a))
	}
	state.SetGlobal("arg", arg)
	state.SetGlobal("print", state.NewFunction(l.print))
	if library, ok := state.GetGlobal("os").(*lua.LTable); ok {
		library.RawSetString("exit", state.NewFunction(l.exit))
		library.RawSetString("execute", lua.LNil) // it would start a shell: use webjob.exec
	}
	if library, ok := state.GetGlobal("io").(*lua.LTable); ok {
		library.RawSetString("popen", lua.LNil) // the same
		library.RawSetString("write", state.NewFunction(l.write))
	}
	if library, ok := state.GetGlobal("package").(*lua.LTable); ok { // modules beside the script, none of the host
		library.RawSetString("path", lua.LString(filepath.Join(filepath.Dir(name), "?.lua")))
	}
	module := state.SetFuncs(state.NewTable(), map[string]lua.LGFunction{
		"read": l.read, "save": l.save, "walk": l.walk, "stat": l.stat, "hash": l.hash, "exec": l.exec, "get": l.get,
		"json_encode": l.jsonEncode, "json_decode": l.jsonDecode, "csv_decode": l.csvDecode, "csv_encode": l.csvEncode,
		"match": l.match, "find_all": l.findAll, "host": l.host,
	})
	state.SetGlobal("webjob", module)
	state.PreloadModule("webjob", func(s *lua.LState) int { s.Push(module); return 1 })
}

func (l *call) print(state *lua.LState) int {
	var words []string
	for i := 1; i <= state.GetTop(); i++ {
		words = append(words, state.ToStringMeta(state.Get(i)).String())
	}
	return l.put(state, strings.Join(words, "\t")+"\n")
}

func (l *call) write(state *lua.LState) int {
	for i := 1; i <= state.GetTop(); i++ {
		l.put(state, state.CheckString(i))
	}
	return 0
}

func (l *call) put(state *lua.LState, text string) int {
	if _, err := io.WriteString(l.streams.Out, text); err != nil {
		state.RaiseError("%v", err)
	}
	return 0
}

func (l *call) exit(state *lua.LState) int {
	l.exited, l.status = true, 0
	switch v := state.Get(1).(type) {
	case lua.LNumber:
		l.status = int(v) & 0xff
	case lua.LBool:
		if !v {
			l.status = 1
		}
	}
	state.RaiseError("exit")
	return 0
}

// failed makes a function return nil and a message, as Lua's own do.
func failed(state *lua.LState, err error) int {
	state.Push(lua.LNil)
	state.Push(lua.LString(err.Error()))
	return 2
}

func (l *call) read(state *lua.LState) int {
	f, err := os.Open(state.CheckString(1))
	if err != nil {
		return failed(state, err)
	}
	text, err := io.ReadAll(io.LimitReader(streams.Reader(l.ctx, f), maxFile+1))
	if err = errors.Join(err, f.Close()); err == nil && len(text) > maxFile {
		err = webjob.Errorf(webjob.TooLarge, "%s has more than %d bytes", f.Name(), maxFile)
	}
	if err != nil {
		return failed(state, err)
	}
	state.Push(lua.LString(text))
	return 1
}

func (*call) save(state *lua.LState) int {
	if err := os.WriteFile(state.CheckString(1), []byte(state.CheckString(2)), 0o600); err != nil {
		return failed(state, err)
	}
	state.Push(lua.LTrue)
	return 1
}

// walk calls a function with the path and the facts of all below a folder; a function
// that returns false keeps it out of a folder.
func (l *call) walk(state *lua.LState) int {
	root, visit := state.CheckString(1), state.CheckFunction(2)
	unreadable := state.NewTable()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if l.ctx.Err() != nil {
			return l.ctx.Err()
		}
		var info fs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		if err != nil {
			unreadable.Append(lua.LString(err.Error()))
			return nil //nolint:nilerr // it is handed back in the list
		}
		if err := state.CallByParam(lua.P{Fn: visit, NRet: 1, Protect: true}, lua.LString(path), statTable(state, path, info)); err != nil {
			return err
		}
		answer := state.Get(-1)
		state.Pop(1)
		if answer == lua.LFalse && entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		state.RaiseError("%v", err)
	}
	state.Push(unreadable)
	return 1
}

func (*call) stat(state *lua.LState) int {
	path := state.CheckString(1)
	info, err := os.Lstat(path)
	if err != nil {
		return failed(state, err)
	}
	state.Push(statTable(state, path, info))
	return 1
}

func statTable(state *lua.LState, path string, info fs.FileInfo) *lua.LTable {
	s, t := host.StatusOf(info), state.NewTable()
	kind := "other"
	switch {
	case info.Mode().IsRegular():
		kind = "file"
	case info.IsDir():
		kind = "folder"
	case info.Mode()&fs.ModeSymlink != 0:
		kind = "link"
		if target, err := os.Readlink(path); err == nil {
			t.RawSetString("target", lua.LString(target))
		}
	}
	for name, value := range map[string]lua.LValue{
		"type": lua.LString(kind), "size": lua.LNumber(info.Size()), "mode": lua.LString(host.ModeText(info.Mode())), "mtime": lua.LNumber(info.ModTime().Unix()),
		"atime": lua.LNumber(s.Accessed.Unix()), "ctime": lua.LNumber(s.Changed.Unix()), "user": lua.LString(s.User), "group": lua.LString(s.Group),
		"links": lua.LNumber(s.Links), "inode": lua.LNumber(s.Inode),
	} {
		t.RawSetString(name, value)
	}
	return t
}

// hash returns the digest of a file, of one kind or, as a table, of several.
func (*call) hash(state *lua.LState) int {
	var kinds []string
	for i := 2; i <= state.GetTop(); i++ {
		kinds = append(kinds, state.CheckString(i))
	}
	if len(kinds) == 0 {
		kinds = []string{"sha256"}
	}
	set, err := hash.New(kinds...)
	if err != nil {
		return failed(state, err)
	}
	digests, _, err := set.SumFile(state.CheckString(1))
	if err != nil {
		return failed(state, err)
	}
	if len(kinds) == 1 {
		state.Push(lua.LString(digests[0]))
		return 1
	}
	t := state.NewTable()
	for i, kind := range kinds {
		t.RawSetString(kind, lua.LString(digests[i]))
	}
	state.Push(t)
	return 1
}

// boundedBuffer keeps the first bytes of an output.
type boundedBuffer struct{ bytes.Buffer }

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(0, maxOutput-b.Len()))])
	return len(p), nil
}

// exec runs a program with its argv, without a shell, and returns a table.
func (l *call) exec(state *lua.LState) int {
	list := state.CheckTable(1)
	var argv []string
	for i := 1; i <= list.Len(); i++ {
		argv = append(argv, lua.LVAsString(list.RawGetInt(i)))
	}
	if len(argv) == 0 {
		state.ArgError(1, "is empty; give the program and its arguments")
	}
	var stdout, stderr boundedBuffer
	c := exec.CommandContext(l.ctx, argv[0], argv[1:]...) //nolint:gosec // that is what the job is for
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(state.OptString(2, "")), &stdout, &stderr
	err := c.Run()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		return failed(state, err)
	}
	t := state.NewTable()
	t.RawSetString("status", lua.LNumber(c.ProcessState.ExitCode()))
	t.RawSetString("stdout", lua.LString(stdout.String()))
	t.RawSetString("stderr", lua.LString(stderr.String()))
	state.Push(t)
	return 1
}

func (l *call) get(state *lua.LState) int {
	digest, err := webjob.Digest(""), error(nil)
	if text := state.OptString(3, ""); text != "" {
		digest, err = webjob.ParseDigest(text)
	}
	if err == nil {
		digest, err = l.fetch(l.ctx, state.CheckString(1), state.CheckString(2), digest)
	}
	if err != nil {
		return failed(state, err)
	}
	state.Push(lua.LString(digest))
	return 1
}

// match returns the groups of the first match of an RE2 expression, or the whole match
// when it has none; nil when there is no match.
func (*call) match(state *lua.LState) int {
	re, err := regexp.Compile(state.CheckString(2))
	if err != nil {
		return failed(state, err)
	}
	m := re.FindStringSubmatch(state.CheckString(1))
	if m == nil {
		state.Push(lua.LNil)
		return 1
	}
	if len(m) > 1 {
		m = m[1:]
	}
	for _, group := range m {
		state.Push(lua.LString(group))
	}
	return len(m)
}

func (*call) findAll(state *lua.LState) int {
	re, err := regexp.Compile(state.CheckString(2))
	if err != nil {
		return failed(state, err)
	}
	t := state.NewTable()
	for _, found := range re.FindAllString(state.CheckString(1), -1) {
		t.Append(lua.LString(found))
	}
	state.Push(t)
	return 1
}

// host returns facts about the machine and the run.
func (*call) host(state *lua.LState) int {
	name, _ := os.Hostname() // a host without a name is still a host
	system, release, machine := host.Kernel()
	t := state.NewTable()
	facts := map[string]string{"name": name, "os": runtime.GOOS, "arch": runtime.GOARCH, "system": system, "release": release, "machine": machine}
	for variable, key := range map[string]string{"WEBJOB_RUN_ID": "run", "WEBJOB_JOB": "job", "WEBJOB_CLIENT_ID": "client"} {
		facts[key] = os.Getenv(variable)
	}
	for key, value := range facts {
		if value != "" {
			t.RawSetString(key, lua.LString(value))
		}
	}
	state.Push(t)
	return 1
}
