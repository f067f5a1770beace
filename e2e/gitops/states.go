// The states of a TezosSigner, and what Argo CD is to say of each.

package gitops

// States are by name: the health that deploy/argocd/health.lua gives it. e2e/reconcile brings a TezosSigner on a real API server into each of
// them, with the real operator; testdata has the objects as it found them.
var States = map[string]string{
	"new":                   "Progressing", // the operator has not seen it
	"starting":              "Progressing",
	"signing":               "Healthy",
	"changed":               "Progressing", // the spec is newer than the status
	"lease-not-held":        "Progressing",
	"hsm-down":              "Degraded",
	"not-ready":             "Degraded",
	"record-went-back":      "Degraded",
	"sealed-key-refused":    "Degraded",
	"sealing-key-away":      "Degraded",
	"baker-not-running":     "Degraded",
	"pod-not-ready":         "Degraded",
	"ceiling-reached":       "Degraded",
	"suspended":             "Suspended",
	"paused":                "Suspended",
	"paused-with-hsm-down":  "Degraded",
	"paused-from-the-start": "Suspended",
	"one-replica-down":      "Progressing",
	"no-endpoint":           "Degraded",
	"invalid":               "Degraded",
	"claimed-by-another":    "Degraded",
	"no-initial-watermark":  "Degraded",
	"watermark-expired":     "Degraded",
	"record-vanished":       "Degraded",
	"name-taken":            "Degraded",
	"undecodable":           "Degraded",
	"deleting":              "Progressing",
}
