package operator

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/trust"
)

// Files of an operator's folder.
const (
	loginFile      = "login.json"
	identityFile   = "identity.pem"    // private key and certificate for the operator listener
	auditFile      = "audit.json"      // newest entries of audit logs that were verified
	repositoryFile = "repository.json" // the job repository as this operator verified it
	keysFolder     = "keys"
	privateEnd     = ".key"
	publicEnd      = ".pub"
)

// Home is an operator's folder.
type Home struct {
	dir    string
	ask    Passphrases
	reason string
}

// AskWith lets the folder ask for passphrases.
func (h *Home) AskWith(ask Passphrases) { h.ask = ask }

// Because says why what is done from now on is done, for the audit log.
func (h *Home) Because(reason string) { h.reason = reason }

// header goes with every request of an operator.
func (h *Home) header() (http.Header, error) {
	if h.reason == "" {
		return nil, nil //nolint:nilnil // there is nothing to say
	}
	return http.Header{api.HeaderReason: {api.EncodeReason(h.reason)}}, webjob.CheckReason(h.reason)
}

// DefaultDir returns the folder that is used when none is named.
func DefaultDir() string {
	if base, err := os.UserConfigDir(); err == nil {
		return filepath.Join(base, "webjob")
	}
	return "webjob-operator"
}

// OpenHome uses dir, which is made with the first file in it: who mistypes it and only reads
// leaves nothing behind. Only its owner may read it.
func OpenHome(dir string) (*Home, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return &Home{dir: dir}, nil
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "operator folder: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && os.PathSeparator == '/' {
		return nil, webjob.Errorf(webjob.Refused, "operator folder %s can be read by others (mode %04o); run chmod 700 %s", dir, mode, dir)
	}
	return &Home{dir: dir}, nil
}

// make makes the folder when it is not there.
func (h *Home) make() error {
	if err := os.MkdirAll(h.path(keysFolder), 0o700); err != nil {
		return webjob.Errorf(webjob.Invalid, "operator folder: %w", err)
	}
	return nil
}

func (h *Home) path(elements ...string) string {
	return filepath.Join(append([]string{h.dir}, elements...)...)
}

// Key is one signing key of the folder.
type Key struct {
	Name        string        `json:"name"`
	Type        trust.KeyType `json:"type"`
	ID          string        `json:"id"`
	Fingerprint string        `json:"fingerprint"`
	Public      []byte        `json:"public"`          // as the policy names it: PKIX DER in base64
	Private     bool          `json:"private"`         // it can sign
	Where       string        `json:"where,omitempty"` // file, encrypted file, or SSH agent
}

func (h *Home) describeKey(name string, public *trust.PublicKey) Key {
	k := Key{Name: name, Type: public.Type(), ID: public.ID(), Fingerprint: public.Fingerprint(), Public: public.DER()}
	if text, err := os.ReadFile(h.path(keysFolder, name+privateEnd)); err == nil {
		k.Private, k.Where = true, "file"
		if block, _ := pem.Decode(text); block != nil && block.Type == encryptedType {
			k.Where = "encrypted file"
		}
	} else if _, err := os.Stat(h.path(keysFolder, name+agentEnd)); err == nil {
		k.Private, k.Where = true, "SSH agent"
	}
	return k
}

// NewKey makes a signing key. A name that is taken is never overwritten.
func (h *Home) NewKey(name string, t trust.KeyType) (Key, error) {
	if err := trust.CheckKeyName(name); err != nil {
		return Key{}, err
	}
	key, err := trust.GenerateKey(t)
	if err != nil {
		return Key{}, err
	}
	if err := h.checkFree(name); err != nil {
		return Key{}, err
	}
	var passphrase []byte
	if h.ask != nil {
		if passphrase, err = h.ask("passphrase of key "+name, true); err != nil {
			return Key{}, err
		}
	}
	private, err := encodePrivate(key, passphrase)
	if err != nil {
		return Key{}, err
	}
	if err := h.addFile(filepath.Join(keysFolder, name+privateEnd), private); err != nil {
		return Key{}, webjob.Errorf(webjob.KindOf(err), "key %s: %w", name, err)
	}
	if err := h.addFile(filepath.Join(keysFolder, name+publicEnd), key.PEM()); err != nil {
		return Key{}, webjob.Errorf(webjob.KindOf(err), "key %s: %w", name, err)
	}
	return h.describeKey(name, key.PublicKey), nil
}

// checkFree reports a name that is taken, before anybody types a passphrase.
func (h *Home) checkFree(name string) error {
	for _, end := range []string{privateEnd, publicEnd, agentEnd} {
		if _, err := os.Stat(h.path(keysFolder, name+end)); err == nil {
			return webjob.Errorf(webjob.Conflict, "key %s: %s is there already; choose another name", name, h.path(keysFolder, name+end))
		}
	}
	return nil
}

// addFile writes a new private file durably.
func (h *Home) addFile(name string, content []byte) error {
	if err := h.make(); err != nil {
		return err
	}
	err := durable.Create(h.path(name), content)
	if errors.Is(err, fs.ErrExist) {
		return webjob.Errorf(webjob.Conflict, "%s is there already; choose another name", h.path(name))
	}
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "%w", err)
	}
	return nil
}

// ImportKey adds a colleague's public key.
func (h *Home) ImportKey(name string, text []byte) (Key, error) {
	if err := trust.CheckKeyName(name); err != nil {
		return Key{}, err
	}
	key, err := parsePublic(text)
	if err != nil {
		return Key{}, err
	}
	if err := h.addFile(filepath.Join(keysFolder, name+publicEnd), key.PEM()); err != nil {
		return Key{}, webjob.Errorf(webjob.KindOf(err), "key %s: %w", name, err)
	}
	return h.describeKey(name, key), nil
}

// Keys lists the signing keys by name.
func (h *Home) Keys() ([]Key, error) {
	entries, err := os.ReadDir(h.path(keysFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	var keys []Key
	for _, entry := range entries {
		name, found := strings.CutSuffix(entry.Name(), publicEnd)
		if !found {
			continue
		}
		public, err := h.PublicKey(name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, h.describeKey(name, public))
	}
	return keys, nil
}

// PublicKey reads a public key by name.
func (h *Home) PublicKey(name string) (*trust.PublicKey, error) {
	text, err := h.readKey(name, publicEnd)
	if err != nil {
		return nil, err
	}
	key, err := trust.ParsePublicPEM(text)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "key %s: %w", name, err)
	}
	return key, nil
}

// PrivateKey reads a private key by name.
func (h *Home) PrivateKey(name string) (*trust.PrivateKey, error) {
	if err := trust.CheckKeyName(name); err != nil {
		return nil, err
	}
	if key, err := h.fromAgent(name); key != nil || err != nil {
		return key, err
	}
	text, err := h.readKey(name, privateEnd)
	if err != nil {
		return nil, err
	}
	key, err := DecodePrivate(text, "passphrase of key "+name, h.ask)
	if err != nil {
		return nil, webjob.Errorf(webjob.KindOf(err), "key %s: %w", name, err)
	}
	return key, nil
}

func (h *Home) readKey(name, end string) ([]byte, error) {
	if err := trust.CheckKeyName(name); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(h.path(keysFolder, name+end))
	if errors.Is(err, fs.ErrNotExist) {
		what := "public"
		if end == privateEnd {
			what = "private"
		}
		return nil, webjob.Errorf(webjob.NotFound, "there is no %s key %s here; webjobctl key list shows what is", what, name)
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	return text, nil
}

// SigningKeys returns the private keys of the names or, without names, the only
// one that is here.
func (h *Home) SigningKeys(names []string) ([]*trust.PrivateKey, error) {
	if len(names) == 0 {
		keys, err := h.Keys()
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if key.Private {
				names = append(names, key.Name)
			}
		}
		if len(names) != 1 {
			return nil, webjob.Errorf(webjob.Invalid, "there are %d private keys here; make one with webjobctl key new NAME, or name the ones that sign with --key", len(names))
		}
	}
	slices.Sort(names)
	var keys []*trust.PrivateKey
	for _, name := range slices.Compact(names) {
		key, err := h.PrivateKey(name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// replaceFile writes a private file: whole or not at all.
func (h *Home) replaceFile(name string, content []byte) error {
	if err := h.make(); err != nil {
		return err
	}
	if err := durable.Write(h.path(name), content); err != nil {
		return webjob.Errorf(webjob.Unavailable, "%w", err)
	}
	return nil
}

// login is what Login keeps beside the identity.
type login struct {
	URL       string `json:"url"`
	Name      string `json:"name"`
	Authority string `json:"authority"` // PEM
}

func (h *Home) readLogin() (login, []byte, error) {
	var l login
	data, err := os.ReadFile(h.path(loginFile))
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil, webjob.Errorf(webjob.NotFound, "nobody is logged in here (%s); run webjobctl login --token TOKEN, or name another folder with --home", h.dir)
	}
	if err != nil {
		return l, nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return l, nil, h.damaged(loginFile, l.Name, err)
	}
	identity, err := os.ReadFile(h.path(identityFile))
	if err != nil {
		return l, nil, h.damaged(identityFile, l.Name, err)
	}
	return l, identity, nil
}
