package acceptance

import (
	"context"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// What cannot work is refused by the API server, or said by a condition, in either
// case with the name of the field; and no pod is started for it.
func TestInvalidTezosSigners(t *testing.T) {
	t.Parallel()
	good := newSigner(t, "invalid", octezclient.P256, octezclient.Secp256k1)
	type object = map[string]any
	firstKey := func(spec object) object { return spec["keys"].([]any)[0].(object) }
	for name, c := range map[string]struct {
		change func(metadata, spec object)
		field  string
	}{
		"bad-base58":        {func(_, spec object) { firstKey(spec)["publicKey"] = withTypo(good.Keys[0].PublicKey) }, "publicKey"},
		"a-tz4-key":         {func(_, spec object) { firstKey(spec)["publicKey"] = blsKey }, "sealed: required for a tz4 key"},
		"a-tz4-key-nowhere": {func(_, spec object) { firstKey(spec)["publicKey"] = blsKey; delete(firstKey(spec), "label") }, "sealed: required for a tz4 key"},
		"a-tz4-key-in-kms": {func(_, spec object) {
			inKMS(spec, object{"publicKey": blsKey, "kmsKey": "alias/baker"})
		}, "sealed: required for a tz4 key"},
		"sealed-tz3": {func(_, spec object) {
			firstKey(spec)["sealed"] = sealedText
			delete(firstKey(spec), "label")
		}, "sealed: only for a tz4 key"},
		"sealed-altered": {func(_, spec object) {
			spec["keys"] = []any{object{"publicKey": blsKey, "sealed": strings.Replace(sealedText, "YkCsD", "YkCsE", 1)}}
		}, "spec.keys[0].sealed: the sealed key was altered"},
		"sealed-cut":     {func(_, spec object) { spec["keys"] = []any{object{"publicKey": blsKey, "sealed": sealedText[:90]}} }, "sealed: expected the whole line"},
		"sealed-nothing": {func(_, spec object) { spec["keys"] = []any{object{"publicKey": blsKey, "sealed": ""}} }, "sealed"},
		"sealed-by-hsm":  {func(_, spec object) { inKMS(spec, object{"publicKey": blsKey, "sealed": sealedText}) }, "sealed was made by an HSM"},
		"companion-itself": {func(_, spec object) {
			spec["keys"] = []any{object{"publicKey": blsKey, "sealed": sealedText}, object{"publicKey": blsKey, "sealed": sealedText, "companion": true}}
		}, "keys"},
		"companion-tz3":   {func(_, spec object) { firstKey(spec)["companion"] = true }, "companion: only for a tz4 key"},
		"hsm-and-kms":     {func(_, spec object) { spec["awsKms"] = object{"region": "eu-central-1"} }, "exactly one of hsm"},
		"no-hsm-no-kms":   {func(_, spec object) { delete(spec, "hsm") }, "exactly one of hsm"},
		"kms-key-and-hsm": {func(_, spec object) { firstKey(spec)["kmsKey"] = "alias/baker"; delete(firstKey(spec), "label") }, "kmsKey only with spec.awsKms"},
		"kms-and-label": {func(_, spec object) {
			inKMS(spec, object{"publicKey": good.Keys[0].PublicKey, "label": "baker"})
		}, "label and id only with spec.hsm"},
		"kms-elsewhere": {func(_, spec object) {
			inKMS(spec, object{"publicKey": good.Keys[0].PublicKey, "kmsKey": "arn:aws:kms:eu-west-1:123456789012:key/1"})
		}, "another region than spec.awsKms.region"},
		"kms-an-id": {func(_, spec object) {
			inKMS(spec, object{"publicKey": good.Keys[0].PublicKey, "kmsKey": "1234abcd-12ab-34cd-56ef-1234567890ab"})
		}, "kmsKey: expected alias/NAME or an ARN"},
		"kms-in-the-clear": {func(_, spec object) {
			inKMS(spec, object{"publicKey": good.Keys[0].PublicKey, "kmsKey": "alias/baker"})
			spec["awsKms"].(object)["endpoint"] = "http://kms.example.org"
		}, "awsKms.endpoint: expected https://HOST"},
		"other-curve":        {func(_, spec object) { firstKey(spec)["label"] = good.Keys[1].Label }, "label"},
		"baker-and-service":  {func(_, spec object) { spec["service"] = object{"port": 6732} }, "service"},
		"service-for-nobody": {func(_, spec object) { service(spec, object{}) }, "authorizedKeys"},
		"service-empty-list": {func(_, spec object) { service(spec, object{"authorizedKeys": []any{}}) }, "authorizedKeys"},
		"service-an-address": {func(_, spec object) {
			service(spec, object{"authorizedKeys": []any{"tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb"}})
		}, "authorizedKeys"},
		"service-ca-alone": {func(_, spec object) {
			service(spec, object{"unauthenticated": true, "clientCa": object{"secret": "x"}})
		}, "clientCa"},
		"service-six": {func(_, spec object) { service(spec, object{"unauthenticated": true, "replicas": 6}) }, "replicas"},
		"service-digit": {func(metadata, spec object) {
			metadata["name"] = "1-" + suite.Run
			service(spec, object{"unauthenticated": true})
		}, "name"},
		"no-keys":         {func(_, spec object) { spec["keys"] = []any{} }, "keys"},
		"unknown-chain":   {func(_, spec object) { spec["chain"] = "moonnet" }, "chain"},
		"bad-chain-id":    {func(_, spec object) { spec["chain"] = "NetXdQprcVkpaWV" }, "chain"},
		"long-name":       {func(metadata, _ object) { metadata["name"] = strings.Repeat("a", 41) }, "name"},
		"dotted-name":     {func(metadata, _ object) { metadata["name"] = "a.b" }, "name"},
		"unknown-field":   {func(_, spec object) { spec["chian"] = "mainnet" }, "chian"},
		"two-token-names": {func(_, spec object) { spec["hsm"].(object)["pkcs11"].(object)["serial"] = "1" }, "serial"},
		"hsm-two-ways":    {func(_, spec object) { cloudHSM(spec)["clusterId"] = "cluster-abcdefghijk" }, "clusterId"},
		"hsm-no-region": {func(_, spec object) {
			delete(cloudHSM(spec), "addresses")
			cloudHSM(spec)["clusterId"] = "cluster-abcdefghijk"
		}, "region"},
		"hsm-bad-address":  {func(_, spec object) { cloudHSM(spec)["addresses"] = []any{"10.0.1.300"} }, "addresses[0]"},
		"hsm-bad-retry":    {func(_, spec object) { cloudHSM(spec)["retryMode"] = "off" }, "retryMode"},
		"node-by-https":    {func(_, spec object) { spec["nodeEndpoint"] = "https://node:8732" }, "nodeEndpoint"},
		"no-image":         {func(_, spec object) { delete(baker(spec), "image") }, "spec.baker.template.spec.containers[0].image"},
		"library-misspelt": {func(_, spec object) { library(spec)["secrte"] = object{} }, "secrte"},
		"signers-port": {func(_, spec object) {
			baker(spec)["ports"] = []any{object{"containerPort": 6732, "hostPort": 6732}}
		}, "containers[0].ports[0].containerPort"},
		"a-key-twice":        {func(_, spec object) { spec["keys"] = []any{firstKey(spec), firstKey(spec)} }, "keys"},
		"octez-and-template": {func(_, spec object) { spec["baker"].(object)["octez"] = octezBaker() }, "octez"},
		"octez-no-delegate":  {func(_, spec object) { spec["baker"] = object{"octez": octezBaker()} }, "delegate"},
		"octez-other-delegate": {func(_, spec object) {
			of := octezBaker()
			of["delegate"] = "tz3WMqdzXqRWXwyvj5Hp2H7QEepaUuS7vd9K"
			spec["baker"] = object{"octez": of}
		}, "spec.baker.octez.delegate"},
		"octez-dal-twice": {func(_, spec object) {
			of := octezBaker()
			of["delegate"], of["extraArguments"] = good.Keys[0].PublicKeyHash, []any{"--without-dal"}
			spec["baker"] = object{"octez": of}
		}, "extraArguments[0]"},
		"own-label": {func(_, spec object) {
			spec["baker"].(object)["template"].(object)["metadata"] = object{"labels": object{"app.kubernetes.io/instance": "mine"}}
		}, "spec.baker.template.metadata.labels"},
		"pin-of-the-signer": {func(_, spec object) {
			pin := spec["hsm"].(object)["pkcs11"].(object)["pin"].(object)
			baker(spec)["envFrom"] = []any{object{"secretRef": object{"name": pin["secret"]}}}
		}, "containers[0].envFrom"},
		"shared-processes": {func(_, spec object) { podSpec(spec)["shareProcessNamespace"] = true }, "shareProcessNamespace"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			applied := ""
			text := editedManifest(t, good, func(metadata, spec object) {
				metadata["name"] = reserveName(t, name)
				c.change(metadata, spec)
				applied = metadata["name"].(string)
			})
			t.Cleanup(func() { deleteLater(t, applied) })
			complaint := ""
			if err := suite.Cluster.Apply(t.Context(), text); err != nil {
				complaint = err.Error()
			} else {
				complaint = awaitConditionNaming(t, applied, c.field)
			}
			t.Log(complaint)
			if !strings.Contains(complaint, c.field) {
				t.Errorf("the complaint does not name %s", c.field)
			}
		})
	}
}

// A pod whose Secret does not exist waits for ever: what is missing is named as soon as the kubelet says it.
func TestAMissingSecretIsNamed(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "no-secret", octezclient.P256)
	text := editedManifest(t, s, func(_, spec map[string]any) {
		spec["hsm"].(map[string]any)["pkcs11"].(map[string]any)["pin"].(map[string]any)["secret"] = "forgotten"
	})
	if err := suite.Cluster.Apply(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	var ready kubectl.Condition
	// Without the kubelet's word the operator waits for a minute.
	err := kubectl.Await(t.Context(), 50*time.Second, func() (bool, error) {
		var signer kubectl.TezosSigner
		if err := suite.Cluster.Get(t.Context(), &signer, "tezossigner", s.Name, "-n", namespace); err != nil {
			return false, err
		}
		ready = signer.Condition("Ready")
		return ready.Reason == "NoAnswer", nil
	})
	if err != nil || !strings.Contains(ready.Message, `secret "forgotten" not found`) || !strings.Contains(ready.Message, "Secret forgotten (key pin)") {
		t.Errorf("%v; it says %s: %s", err, ready.Reason, ready.Message)
	}
}

// editedManifest is the manifest of a signer with other values.
func editedManifest(t *testing.T, s *fixture.Signer, change func(metadata, spec map[string]any)) string {
	t.Helper()
	manifest, err := suite.Manifest(s)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := yaml.Unmarshal([]byte(manifest), &object); err != nil {
		t.Fatal(err)
	}
	change(object["metadata"].(map[string]any), object["spec"].(map[string]any))
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The BLS12-381 key of a recorded block: nothing an HSM signs with.
const blsKey = "BLpk1vvYoUeVyjsZhdhtzuEEsUAbigzgvZ3Ms3v4MZoeinnJKRa3MKksHZgH7nYXFxSREebWo619"

// sealedText has the form of what an HSM has sealed, with the right check. No HSM opens it.
const sealedText = "v1.pkcs11.c2VhbGluZw.YkCsD0H495BUeCU3.SqVcroplCVA8vhLsGRKrGSI8PCr9nwXDNx1oiy0oIImYxvQZwaZNIuoBZo_cnvT0.59d43acd"

// inKMS has that one key, and AWS KMS in place of the HSM.
func inKMS(spec, key map[string]any) {
	delete(spec, "hsm")
	spec["awsKms"] = map[string]any{"region": "eu-central-1"}
	spec["keys"] = []any{key}
}

// withTypo changes the last character.
func withTypo(key string) string {
	last := "1"
	if strings.HasSuffix(key, last) {
		last = "2"
	}
	return key[:len(key)-1] + last
}

// service has signers only instead of the baker.
func service(spec, of map[string]any) {
	delete(spec, "baker")
	spec["service"] = of
}

// cloudHSM is spec.hsm.cloudHsm, which takes the place of what stands in spec.hsm.
func cloudHSM(spec map[string]any) map[string]any {
	hsm := spec["hsm"].(map[string]any)
	if found, is := hsm["cloudHsm"].(map[string]any); is {
		return found
	}
	made := map[string]any{
		"addresses":  []any{"10.0.1.6"},
		"customerCa": map[string]any{"configMap": "cloudhsm-ca"},
		"pin":        hsm["pkcs11"].(map[string]any)["pin"],
	}
	spec["hsm"] = map[string]any{"cloudHsm": made}
	return made
}

func podSpec(spec map[string]any) map[string]any {
	return spec["baker"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
}

// baker is the container of the baker's template.
func baker(spec map[string]any) map[string]any {
	return podSpec(spec)["containers"].([]any)[0].(map[string]any)
}

// library is the volume of the PKCS#11 library.
func library(spec map[string]any) map[string]any {
	return spec["hsm"].(map[string]any)["pkcs11"].(map[string]any)["volumes"].([]any)[0].(map[string]any)
}

// octezBaker is the least that an Octez baker needs.
func octezBaker() map[string]any {
	return map[string]any{"image": "tezos/tezos:octez-v25.1", "nodeEndpoint": "http://octez-node:8732"}
}

// awaitConditionNaming waits until a condition names the field. The HSM's answer takes a
// moment, and until then other sentences stand there.
func awaitConditionNaming(t *testing.T, name, field string) (complaint string) {
	t.Helper()
	kubectl.Await(t.Context(), 45*time.Second, func() (bool, error) {
		complaint = awaitNotReady(t, name, 30*time.Second)
		return strings.Contains(complaint, field), nil
	})
	return complaint
}

// A key is signed with by one TezosSigner: the second, in whatever namespace, gets
// no pod and is told who has it.
func TestASecondClaimOfAKeyGetsNoPod(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "claim", octezclient.Secp256k1)
	applyReady(t, s)

	elsewhere := *suite
	elsewhere.Namespace = namespace + "-second"
	if _, err := elsewhere.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := *s
	second.Name = "second-" + elsewhere.Run
	if err := elsewhere.ApplySecrets(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.ApplySigner(t.Context(), &second); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := elsewhere.Cluster.Run(context.Background(), "", "delete", "tezossigner", second.Name, "-n", elsewhere.Namespace, "--timeout=60s"); err != nil {
			t.Error(err)
		}
	})
	claimant := namespace + "/" + s.Name
	complaint := ""
	err := kubectl.Await(t.Context(), 30*time.Second, func() (bool, error) {
		var signer kubectl.TezosSigner
		if err := suite.Cluster.Get(t.Context(), &signer, "tezossigner", second.Name, "-n", elsewhere.Namespace); err != nil {
			return false, err
		}
		complaint = strings.Join(signer.Messages(), "\n")
		return strings.Contains(complaint, claimant), nil
	})
	t.Log(complaint)
	if err != nil {
		t.Errorf("no condition names %s: %v", claimant, err)
	}
	pods, err := suite.Cluster.Pods(t.Context(), elsewhere.Namespace, second.Name)
	if err != nil || len(pods) != 0 {
		t.Errorf("%d pods, %v", len(pods), err)
	}
	record, err := suite.Record(t.Context(), s.Keys[0].Parsed())
	if err != nil || !strings.HasPrefix(owner(record), claimant+"/") {
		t.Errorf("the record's owner: %s, %v", owner(record), err)
	}
}

func owner(record *fixture.Record) string {
	return record.Metadata.Annotations["signer.tezos.io/owner"]
}
