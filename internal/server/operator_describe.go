package server

import (
	"strconv"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

func jobOf(o webjob.Order) string { return o.Job + "@" + strconv.FormatInt(o.Version, 10) }

// describeOrder tells the audit log what an order says, and who signed it.
func describeOrder(o *trust.SignedOrder) map[string]any {
	text := map[string]any{
		"job": jobOf(o.Order), "manifest": o.Manifest, "on": o.On, "signed_by": o.Signers(), "not_before": o.NotBefore, "expires": o.Expires,
	}
	for name, value := range map[string]int64{"canary": o.Canary, "rate_per_hour": o.Rate, "stop_at_percent": o.StopAt, "priority": o.Priority} {
		if value != 0 {
			text[name] = value
		}
	}
	for name, value := range map[string]string{"tag": o.Tag, "group": o.Group} {
		if value != "" {
			text[name] = value
		}
	}
	for name, value := range map[string]bool{"late": o.Late, "serial": o.Serial} {
		if value {
			text[name] = value
		}
	}
	if len(o.Arguments) > 0 {
		text["arguments"] = o.Arguments
	}
	if o.Schedule != nil {
		text["schedule"] = o.Schedule
	}
	return text
}

// stateOf tells the audit log how an order was.
func stateOf(o webjob.OrderStatus) map[string]any {
	text := map[string]any{"state": o.State}
	if o.Reason != "" {
		text["reason"] = o.Reason
	}
	return text
}
