package operator_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
)

// softwareKey is an SSH agent with one security key, in software: it signs as
// OpenSSH's PROTOCOL.u2f says.
type softwareKey struct {
	agent.Agent
	private ed25519.PrivateKey
	public  ssh.PublicKey
	touched bool
}

func (k *softwareKey) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: k.public.Type(), Blob: k.public.Marshal(), Comment: "token"}}, nil
}

func (k *softwareKey) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	if string(key.Marshal()) != string(k.public.Marshal()) {
		return nil, errors.New("another key")
	}
	rest := []byte{0, 0, 0, 0, 7} // flags, counter
	if k.touched {
		rest[0] = 1
	}
	application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	signed := append(append(application[:], rest...), message[:]...)
	return &ssh.Signature{Format: k.public.Type(), Blob: ed25519.Sign(k.private, signed), Rest: rest}, nil
}

func newSoftwareKey(t *testing.T) *softwareKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	wire := ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, "ssh:"})
	parsed, err := ssh.ParsePublicKey(wire)
	must(t, err)
	k := &softwareKey{private: private, public: parsed, touched: true}
	socket := filepath.Join(t.TempDir(), "agent")
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "unix", socket)
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(k, conn) // ends with the connection
			_ = conn.Close()
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", socket)
	return k
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A key on a security key signs orders, and counts only when somebody touched it.
func TestHardwareKeysSignOrders(t *testing.T) {
	token := newSoftwareKey(t)
	h, err := operator.OpenHome(filepath.Join(t.TempDir(), "home"))
	must(t, err)
	made, err := h.NewAgentKey("olga", "token")
	must(t, err)
	if made.Type != trust.HardwareEd25519 || made.Where != "SSH agent" {
		t.Fatalf("got %+v", made)
	}
	key, err := h.PrivateKey("olga")
	must(t, err)
	public, err := h.PublicKey("olga")
	must(t, err)
	text := []byte("what is signed")
	sig, err := key.Sign(t.Context(), text)
	must(t, err)
	must(t, public.Verify(t.Context(), text, sig))
	// The SSH library agrees.
	must(t, token.public.Verify(text, &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: sig[:64], Rest: sig[64:]}))
	for i := range sig {
		changed := append([]byte{}, sig...)
		changed[i] ^= 1
		if public.Verify(t.Context(), text, changed) == nil {
			t.Errorf("a signature with byte %d changed counts", i)
		}
	}

	policy, err := trust.NewPolicy(1, trust.NewNamedKey("olga", public))
	must(t, err)
	content, err := policy.Encode()
	must(t, err)
	policy, err = trust.ParsePolicy(content)
	must(t, err)
	at := time.Now().UTC().Truncate(time.Second)
	o := &webjob.Order{Format: webjob.OrderFormat, ID: "o1", Job: "job", Version: 1, Manifest: webjob.EmptyDigest, On: "all", Created: at, NotBefore: at, Expires: at.Add(time.Hour)}
	envelope, err := trust.SignOrder(o, key)
	must(t, err)
	signed, err := policy.OpenOrder(envelope)
	must(t, err)
	must(t, policy.Permits(signed, webjob.Subject{ID: "web1"}))

	token.touched = false
	if _, err := trust.SignOrder(o, key); err == nil || !strings.Contains(err.Error(), "nobody touched") {
		t.Errorf("without a touch: %v", err)
	}
	// It cannot sign what the library verifies, and says so.
	if _, err := trust.NewDraft([]trust.NamedKey{trust.NewNamedKey("olga", public)}, 1, trusttest.Key(t).PublicKey, at); err == nil || !strings.Contains(err.Error(), "let it sign orders") {
		t.Errorf("in the job repository: %v", err)
	}
	if _, err := trust.SignDetached(key, strings.NewReader("x")); webjob.KindOf(err) != webjob.Invalid {
		t.Errorf("a detached signature: %v", err)
	}
	// As OpenSSH writes it, it is the same key.
	imported, err := h.ImportKey("again", ssh.MarshalAuthorizedKey(token.public))
	must(t, err)
	if imported.ID != made.ID {
		t.Errorf("imported as %s, taken over as %s", imported.ID, made.ID)
	}
}
