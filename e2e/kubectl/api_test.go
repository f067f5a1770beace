package kubectl

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestWhatIsReadWithoutKubectl(t *testing.T) {
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.String() + " " + r.Header.Get("Impersonate-User")
		w.WriteHeader(http.StatusNotFound)
		w.Write([]byte(`{"kind":"Status","reason":"NotFound","message":"pods \"a\" not found"}`))
	}))
	defer server.Close()
	api := &apiServer{server.URL, server.Client()}
	for _, c := range []struct {
		args  []string
		asked string
	}{
		{[]string{"pod", "a", "-n", "b"}, "GET /api/v1/namespaces/b/pods/a? "},
		{[]string{"pods", "-n", "b", "-l", "c=d"}, "GET /api/v1/namespaces/b/pods?labelSelector=c%3Dd "},
		{[]string{"node", "a"}, "GET /api/v1/nodes/a? "},
		{[]string{"tezossigners", "-n", "b"}, "GET /apis/signer.tezos.io/v1alpha1/namespaces/b/tezossigners? "},
		{[]string{"pods", "--all-namespaces"}, ""},
		{[]string{"pods", "a"}, ""}, // in the namespace of a context
		{[]string{"roles", "-n", "b"}, ""},
		{[]string{"pod", "a", "b", "-n", "c"}, ""},
	} {
		asked = ""
		_, err := api.get(t.Context(), c.args)
		if asked != c.asked || c.asked != "" && !NotFound(err) || c.asked == "" && err != errNotRead {
			t.Errorf("%v: %q, %v", c.args, asked, err)
		}
	}
	who := []string{"--as=somebody", "--as-group=some", "--as-user-extra=authentication.kubernetes.io/pod-uid=1"}
	api.patchConfigMap(t.Context(), who, "b", "a", "{}", true)
	if asked != "PATCH /api/v1/namespaces/b/configmaps/a?dryRun=All somebody" {
		t.Error(asked)
	}
}
