package e2e

import (
	"bytes"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"webjob.dev/webjob/recipes"
)

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	runScripts(t, files, bin)
}

// TestRecipes runs the test of every recipe, which stands beside it, with the client as it
// is released: with the race detector its interpreters are many times slower.
func TestRecipes(t *testing.T) {
	var files []string
	for _, name := range recipes.Names() {
		files = append(files, filepath.Join("../recipes", name, name+".txtar"))
	}
	runScripts(t, files, filepath.Join(bin, "bare"))
}

// runScripts runs scripts with the client of a folder. BARE is the folder with the client as
// it is released.
func runScripts(t *testing.T, files []string, client string) {
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, environment(e.WorkDir)...)
			examples, err := filepath.Abs("../examples")
			if err != nil {
				return err
			}
			recipes, err := filepath.Abs("../recipes")
			if err != nil {
				return err
			}
			e.Vars = append(e.Vars, "EXAMPLES="+examples, "RECIPES="+recipes, "BARE="+filepath.Join(bin, "bare"),
				"PATH="+client+string(os.PathListSeparator)+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			daemons := map[string]*daemon{}
			e.Values[daemonsKey{}] = daemons
			agents := map[string]*exec.Cmd{}
			e.Values[agentsKey{}] = agents
			e.Defer(func() { // whatever a script left running
				for _, d := range daemons {
					_ = d.stop(syscall.SIGKILL)
				}
				for _, a := range agents {
					_ = a.Process.Kill()
					_ = a.Wait()
				}
				killRuns(e.WorkDir)
			})
			return nil
		},
		Condition: func(condition string) (bool, error) {
			if condition == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"init":      cmdInit,
			"serve":     cmdServe,
			"halt":      cmdHalt,
			"operate":   cmdOperate,
			"pair":      cmdPair,
			"enroll":    cmdEnroll,
			"sql":       cmdSQL,
			"forge":     cmdForge,
			"downgrade": cmdDowngrade,
			"swapblob":  cmdSwapBlob,
			"jq":        cmdJQ,
			"http":      cmdHTTP,
			"repeat":    cmdRepeat,
			"agent":     cmdAgent,
			"endagent":  cmdEndAgent,
			"until":     cmdUntil,
			"sink":      cmdSink,
			"cut":       cmdCut,
			"mailsink":  cmdMailSink,
			"logsink":   cmdLogSink,

			"prometheus": cmdPrometheus,
		},
	})
}

type daemonsKey struct{}

func daemonsOf(ts *testscript.TestScript) map[string]*daemon {
	return ts.Value(daemonsKey{}).(map[string]*daemon)
}

// program runs one of ours and returns its standard output.
func program(ts *testscript.TestScript, name string, args ...string) string {
	c := exec.Command(filepath.Join(bin, name), args...)
	c.Dir = ts.MkAbs(".")
	c.Env = environment(ts.Getenv("WORK"))
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		ts.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// cmdInit makes a server folder on free ports: init DIR. The variables DIR_URL,
// DIR_OPERATOR, DIR_TELEMETRY and DIR_LOGIN tell about it.
func cmdInit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: init DIR")
	}
	ports, err := freePorts(3)
	ts.Check(err)
	name := filepath.Base(args[0])
	out := program(ts, "bare/webjobd", "init", args[0], "--name", "localhost", "-o", "json",
		"--listen", ports[0], "--operator-listen", ports[1], "--telemetry-listen", ports[2])
	var printed struct {
		Token string `json:"login_token"`
	}
	ts.Check(json.Unmarshal([]byte(out), &printed))
	_, port, err := net.SplitHostPort(ports[0])
	ts.Check(err)
	ts.Setenv(name+"_URL", "https://localhost:"+port)
	ts.Setenv(name+"_OPERATOR", "https://"+ports[1])
	ts.Setenv(name+"_TELEMETRY", "http://"+ports[2])
	ts.Setenv(name+"_LOGIN", printed.Token)
}

// cmdServe starts a server and waits until it is ready: serve DIR.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serve DIR")
	}
	d, err := startDaemon(ts.MkAbs(args[0]), ts.Getenv("WORK"))
	ts.Check(err)
	daemonsOf(ts)[args[0]] = d
}

// cmdHalt ends a server cleanly, or with -kill at once: halt [-kill] DIR.
func cmdHalt(ts *testscript.TestScript, neg bool, args []string) {
	signal := syscall.SIGTERM
	if len(args) == 2 && args[0] == "-kill" {
		signal, args = syscall.SIGKILL, args[1:]
	}
	if neg || len(args) != 1 || daemonsOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: halt [-kill] DIR, of a server that was started")
	}
	ts.Check(daemonsOf(ts)[args[0]].stop(signal))
	delete(daemonsOf(ts), args[0])
}

// cmdOperate is init, serve, login, a key alice, and alice as the trust root:
// operate DIR.
func cmdOperate(ts *testscript.TestScript, neg bool, args []string) {
	cmdInit(ts, neg, args)
	cmdServe(ts, neg, args)
	program(ts, "webjobctl", "login", "--name", "olga", "--token", ts.Getenv(args[0]+"_LOGIN"))
	program(ts, "webjobctl", "key", "new", "alice")
	program(ts, "webjobctl", "repo", "init", "alice")
}

// cmdPair is operate with two people who both must sign: alice, whose folder is the usual
// one, and bob, whose folder the variable BOB tells: pair DIR. ALICE tells alice's.
func cmdPair(ts *testscript.TestScript, neg bool, args []string) {
	cmdInit(ts, neg, args)
	cmdServe(ts, neg, args)
	alice, bob := ts.MkAbs("operator"), ts.MkAbs("bob")
	ts.Setenv("ALICE", alice)
	ts.Setenv("BOB", bob)
	as := func(home string, args ...string) string {
		return program(ts, "webjobctl", append([]string{"--home", home}, args...)...)
	}
	as(alice, "login", "--name", "alice", "--token", ts.Getenv(args[0]+"_LOGIN"))
	as(bob, "login", "--name", "bob", "--token", as(alice, "token", "new", "--operator", "--role", "admin"))
	as(alice, "key", "new", "alice")
	as(bob, "key", "new", "bob")
	public := ts.MkAbs("bob.pub")
	ts.Check(os.WriteFile(public, []byte(as(bob, "key", "export", "bob")), 0o600))
	as(alice, "key", "import", "bob", public)
	as(alice, "repo", "init", "alice", "bob", "--threshold", "2")
	as(bob, "repo", "sign", "--yes")
	var status struct {
		Root string `json:"root"`
	}
	ts.Check(json.Unmarshal([]byte(as(bob, "repo", "status", "-o", "json")), &status))
	as(alice, "repo", "pin", status.Root)
}

// cmdEnroll enrols a client: enroll STATE ID [label...].
func cmdEnroll(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: enroll STATE ID [LABEL...]")
	}
	newToken := []string{"token", "new"}
	for _, label := range args[2:] {
		newToken = append(newToken, "--label", label)
	}
	token := program(ts, "webjobctl", newToken...)
	program(ts, "webjob", "--state", args[0], "enroll", "--token", token, "--id", args[1])
}

// cmdSQL changes a server's metadata behind its back, as someone who holds the
// server could: sql DIR STATEMENT.
func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql DIR STATEMENT")
	}
	behindItsBack(ts, args[0], func(db *sql.DB) {
		_, err := db.Exec(args[1])
		ts.Check(err)
	})
}

// behindItsBack opens the metadata of a server while it is stopped.
func behindItsBack(ts *testscript.TestScript, dir string, change func(*sql.DB)) {
	_, running := daemonsOf(ts)[dir]
	if running {
		cmdHalt(ts, false, []string{dir})
	}
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(filepath.Join(dir, "metadata.db")))
	ts.Check(err)
	change(db)
	ts.Check(db.Close())
	if running {
		cmdServe(ts, false, []string{dir})
	}
}

// cmdForge edits the manifest of a job: forge DIR JOB OLD NEW.
func cmdForge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: forge DIR JOB OLD NEW")
	}
	behindItsBack(ts, args[0], func(db *sql.DB) { forge(ts, db, args) })
}

func forge(ts *testscript.TestScript, db *sql.DB, args []string) {
	var manifest []byte
	ts.Check(db.QueryRow(`SELECT text FROM jobs WHERE name = ? ORDER BY version DESC`, args[1]).Scan(&manifest))
	edited := bytes.ReplaceAll(manifest, []byte(args[2]), []byte(args[3]))
	if bytes.Equal(edited, manifest) {
		ts.Fatalf("the manifest does not hold %q:\n%s", args[2], manifest)
	}
	_, err := db.Exec(`UPDATE jobs SET text = ? WHERE name = ?`, edited, args[1])
	ts.Check(err)
}

// cmdSwapBlob replaces every blob of a server by other bytes: swapblob DIR FILE.
func cmdSwapBlob(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: swapblob DIR FILE")
	}
	blobs, err := filepath.Glob(ts.MkAbs(filepath.Join(args[0], "blobs", "??", "*")))
	ts.Check(err)
	if len(blobs) == 0 {
		ts.Fatalf("%s has no blobs", args[0])
	}
	for _, blob := range blobs {
		ts.Check(os.WriteFile(blob, []byte(ts.ReadFile(args[1])), 0o600))
	}
}

// cmdJQ sets a variable from a JSON file: jq VAR FILE KEY... A number is an index.
func cmdJQ(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: jq VAR FILE KEY...")
	}
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &value))
	for _, key := range args[2:] {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			var i int
			_, err := fmt.Sscan(key, &i)
			ts.Check(err)
			if i >= len(v) {
				ts.Fatalf("no element %d in %v", i, v)
			}
			value = v[i]
		}
	}
	ts.Setenv(args[0], fmt.Sprint(value))
}

// cmdHTTP gets a URL without a client certificate and prints status and body:
// http URL [tls1.2].
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	config := &tls.Config{InsecureSkipVerify: true} // the server is what is tested, not this client
	if len(args) == 2 && args[1] == "tls1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	response, err := c.Get(args[0])
	if (err != nil) != neg {
		ts.Fatalf("GET %s: %v", args[0], err)
	}
	if err != nil {
		fmt.Fprintln(ts.Stdout(), err)
		return
	}
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	ts.Check(response.Body.Close())
	fmt.Fprintf(ts.Stdout(), "%s\n%s\n", response.Status, body)
}

// cmdRepeat writes a file of a text repeated: repeat FILE TEXT COUNT.
func cmdRepeat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: repeat FILE TEXT COUNT")
	}
	var n int
	_, err := fmt.Sscan(args[2], &n)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat(args[1], n)), 0o600))
}
