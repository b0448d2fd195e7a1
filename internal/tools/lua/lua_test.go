package lua_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/tools/lua"
	"webjob.dev/webjob/internal/tools/streams"
)

// runLua runs a script in a folder and returns what it printed and its status.
func runLua(t *testing.T, dir, script string, args ...string) (string, int) {
	t.Helper()
	t.Chdir(dir)
	var out bytes.Buffer
	fetch := func(_ context.Context, url, file string, _ webjob.Digest) (webjob.Digest, error) {
		if url != "https://here" {
			return "", errors.New("not there")
		}
		return webjob.DigestOf([]byte("got")), os.WriteFile(file, []byte("got"), 0o600)
	}
	status, err := lua.Run(t.Context(), "script.lua", strings.NewReader(script), args, streams.Standard{In: strings.NewReader(""), Out: &out, Err: &out}, fetch)
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return out.String(), status
}

// material makes a folder of files to work on.
func material(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"words": "pear\napple\nfig\napple\nPear\n10\n9\n", "empty": "", "a/one": "1\n", "a/b/two": "a longer one\n", "a/.three": "3\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("one", filepath.Join(dir, "a", "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLuaModule(t *testing.T) {
	for script, want := range map[string]string{
		`print(webjob.hash("words"), 1 + 1)`:                                                   "its digest, see below",
		`print(#webjob.read("words"), webjob.read("nothing"))`:                                 "31\tnil\topen nothing: no such file or directory\n",
		`webjob.save("new", "text"); print(webjob.read("new"))`:                                "text\n",
		`local s = webjob.stat("a/link"); print(s.type, s.target)`:                             "link\tone\n",
		`local h = webjob.hash("empty", "md5", "sha1"); print(h.md5)`:                          "d41d8cd98f00b204e9800998ecf8427e\n",
		`print(webjob.hash("empty", "crc"))`:                                                   "nil\tdigest \"crc\" is unknown; use blake3, md5, sha1, sha256, sha512\n",
		`local n = 0; webjob.walk("a", function(p, s) n = n + 1 end); print(n)`:                "6\n",
		`webjob.walk("a", function(p, s) print(p); return p ~= "a/b" end)`:                     "a\na/.three\na/b\na/link\na/one\n",
		`local r = webjob.exec({"cat", "-"}, "in"); print(r.status, r.stdout)`:                 "0\tin\n",
		`local r = webjob.exec({"sh", "-c", "echo e >&2; exit 3"}); print(r.status, r.stderr)`: "3\te\n\n",
		`print(webjob.exec({"/no/such/program"}))`:                                             "nil\tfork/exec /no/such/program: no such file or directory\n",
		`print(webjob.get("https://here", "f"), webjob.read("f"))`:                             string(webjob.DigestOf([]byte("got"))) + "\tgot\n",
		`print(webjob.get("https://there", "f"))`:                                              "nil\tnot there\n",
		`print(webjob.json_encode({1, "x", {a = true}}), webjob.json_encode({}))`:              "[1,\"x\",{\"a\":true}]\t{}\n",
		`local t = webjob.json_decode('{"a": [1, 2.5, null, "x"]}'); print(t.a[2])`:            "2.5\n",
		`print(webjob.json_decode("{"))`:                                                       "nil\tunexpected EOF\n",
		`local t = {}; t.t = t; print(webjob.json_encode(t))`:                                  "nil\ttables are nested too deep for JSON; does one hold itself?\n",
		`local t = webjob.csv_decode('a,"b,c"\n1,2\n'); print(t[1][2], #t)`:                    "b,c\t2\n",
		`io.write(webjob.csv_encode({{"a", "b,c"}, {1, 2}}))`:                                  "a,\"b,c\"\n1,2\n",
		`print(webjob.match("user=root id=0", "user=(\\w+) id=(\\d+)"))`:                       "root\t0\n",
		`print(webjob.match("x", "y"), #webjob.find_all("a1b22", "\\d+"))`:                     "nil\t2\n",
		`print(webjob.host().os ~= nil, require("webjob") == webjob)`:                          "true\ttrue\n",
		`print(arg[0], arg[1], ..., #arg)`:                                                     "script.lua\tone\tone\t2\n",
		`print(os.execute, io.popen, package.path)`:                                            "nil\tnil\t?.lua\n",
		"#!/usr/bin/env webjob lua\r\nprint('windows')\r\n":                                    "windows\n",
	} {
		got, status := runLua(t, material(t), script, "one", "two words")
		if strings.Contains(script, `1 + 1`) {
			want = strings.TrimPrefix(string(webjob.DigestOf(must(os.ReadFile("words")))), "sha256:") + "\t2\n"
		}
		if got != want || status != 0 {
			t.Errorf("%s: status %d and\n%swant\n%s", script, status, got, want)
		}
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestLuaStatus(t *testing.T) {
	for script, want := range map[string]int{`os.exit(7)`: 7, `os.exit(false)`: 1, `os.exit(true)`: 0, `os.exit()`: 0, `error("broken")`: 1, `local x = nil + 1`: 1, `pcall(error, "x")`: 0} {
		out, status := runLua(t, t.TempDir(), script)
		if status != want || (strings.Contains(script, "broken") && !strings.Contains(out, "script.lua:1: broken")) {
			t.Errorf("%s: status %d, want %d; %q", script, status, want, out)
		}
	}
}

func TestLuaModulesLieBesideTheScript(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine.lua"), []byte(`return {answer = 42}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, status := runLua(t, dir, `print(require("mine").answer)`); out != "42\n" || status != 0 {
		t.Errorf("%d, %q", status, out)
	}
}

func TestBadLuaDoesNotRun(t *testing.T) {
	for name, script := range map[string]string{"NUL": "print(1)\x00", "broken": "if true then"} {
		var out bytes.Buffer
		_, err := lua.Run(t.Context(), "bad.lua", strings.NewReader(script), nil, streams.Standard{Out: &out, Err: &out}, nil)
		if webjob.KindOf(err) != webjob.Invalid || !strings.Contains(err.Error(), "bad.lua") || strings.Contains(err.Error(), "\n") || out.Len() > 0 {
			t.Errorf("%s: %v, %q", name, err, out.String())
		}
	}
}

func TestEndlessLuaIsEnded(t *testing.T) {
	for name, script := range map[string]string{
		"loop": "while true do end", "caught": "while true do pcall(function() while true do end end) end", "recursion": "local function f() return 1 + f() end f()",
		"tail calls": "local function f() return f() end f()", "walk": `while true do webjob.walk("/proc/self", function() end) end`,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		start := time.Now()
		var out bytes.Buffer
		status, err := lua.Run(ctx, "s", strings.NewReader(script), nil, streams.Standard{In: strings.NewReader(""), Out: &out, Err: &out}, nil)
		cancel()
		if err == nil && status == 0 || time.Since(start) > 10*time.Second {
			t.Errorf("%s: status %d, %v after %s", name, status, err, time.Since(start))
		}
	}
}
