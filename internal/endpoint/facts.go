package endpoint

import (
	"net"
	"os"
	"runtime"
	"slices"

	"webjob.dev/webjob"
)

// Facts returns what this machine says of itself.
func Facts() webjob.Facts {
	host, _ := os.Hostname() // a host without a name is still a host
	f := webjob.Facts{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Host: printable(host), Version: webjob.Version(), System: printable(systemVersion()), Booted: bootTime(),
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return f
	}
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok && !network.IP.IsLoopback() && !network.IP.IsLinkLocalUnicast() {
			f.Addresses = append(f.Addresses, network.IP.String())
		}
	}
	slices.Sort(f.Addresses)
	f.Addresses = slices.Compact(f.Addresses)
	f.Addresses = f.Addresses[:min(len(f.Addresses), webjob.MaxAddresses)]
	return f
}

// printable cuts a text down to what a fact may be.
func printable(s string) string {
	for len(s) > 0 && webjob.CheckLine("", s, 256) != nil {
		s = s[:len(s)-1]
	}
	return s
}
