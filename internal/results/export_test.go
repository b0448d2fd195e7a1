package results

import "time"

// SetClock gives the keeper another clock.
func SetClock(k *Keeper, clock func() time.Time) { k.clock = clock }
