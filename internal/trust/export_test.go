package trust

import (
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// OnlineForTest signs a snapshot of the versions and a timestamp with the online key,
// as a server could that does not care what it vouches for.
func OnlineForTest(r *View, versions map[string]int64, online *PrivateKey, now time.Time) (snapshotText, timestampText []byte, err error) {
	snapshot, timestamp := metadata.Snapshot(now.Add(SnapshotLifetime)), metadata.Timestamp(now.Add(TimestampLifetime))
	snapshot.Signed.Version, timestamp.Signed.Version = r.set.Snapshot.Signed.Version+100, r.Timestamp()+100
	snapshot.Signed.Meta = map[string]*metadata.MetaFiles{}
	for name, version := range versions {
		snapshot.Signed.Meta[name+".json"] = metadata.MetaFile(version)
	}
	timestamp.Signed.Meta = map[string]*metadata.MetaFiles{RoleSnapshot + ".json": metadata.MetaFile(snapshot.Signed.Version)}
	if _, err := snapshot.Sign(librarySigner{online}); err != nil {
		return nil, nil, err
	}
	if _, err := timestamp.Sign(librarySigner{online}); err != nil {
		return nil, nil, err
	}
	if snapshotText, err = snapshot.ToBytes(false); err != nil {
		return nil, nil, err
	}
	timestampText, err = timestamp.ToBytes(false)
	return snapshotText, timestampText, err
}
