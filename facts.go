package webjob

import (
	"net/netip"
	"time"
)

// Facts are what an agent says about its machine. They can be selected by; they
// are the client's word.
type Facts struct {
	OS        string    `json:"os"`                  // Go's name, such as "linux"
	Arch      string    `json:"arch"`                // Go's name, such as "amd64"
	Host      string    `json:"host"`                // host name
	Version   string    `json:"version"`             // of webjob
	System    string    `json:"system,omitempty"`    // kernel or system release, one line
	Addresses []string  `json:"addresses,omitempty"` // at most MaxAddresses, not loopback
	Booted    time.Time `json:"booted,omitzero"`     // UTC, to the second; zero when unknown
}

// MaxAddresses bounds the addresses of a machine.
const MaxAddresses = 32

// Check reports the first fact that is malformed.
func (f Facts) Check() error {
	for name, value := range map[string]string{"os": f.OS, "arch": f.Arch, "host": f.Host, "version": f.Version, "system": f.System} {
		if err := CheckLine("fact "+name, value, 256); err != nil {
			return err
		}
	}
	if len(f.Addresses) > MaxAddresses {
		return Errorf(Invalid, "%d addresses; at most %d", len(f.Addresses), MaxAddresses)
	}
	for _, address := range f.Addresses {
		if _, err := netip.ParseAddr(address); err != nil {
			return Errorf(Invalid, "address %.60q is malformed", address)
		}
	}
	return nil
}
