// What the definition refuses of keystores and their keys, each with the field and what to write.

package api

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// Public keys of each scheme, and of two with tz4, and texts that look sealed. Nobody opens them here.
const (
	ofTz1       = "edpkuBknW28nW72KG6RoHtYW7p12T6GKc7nAbwYX5m8Wd9sDVC9yav"
	ofTz2       = "sppk7cXzUGMoqqa3MNc5zUZrwuqCAtmxQYcQA82f1xRyZFnzyzYUS5Z"
	ofTz3       = "p2pk688cprNqHHt5iodkEVD1NaCNRMKxk3VTDRrkB1KmmFLnnGw9Gpk"
	ofTz4       = "BLpk1vGHLpusxfNbqgvNyaTYv77eSbyooVBgM2jbhFgKMm5tNfAuRDbwJ2EbVHQFi6NNBAFvMDB9"
	ofCompanion = "BLpk1pCYjF95Cqdkc7z7ag2bY36JnetjgBePjrmtXxfW88aSANdNu1jAgemvfJR7Hu9Rt8rYMnhz"

	byHSM    = "v1.pkcs11.c2VhbGluZw.bm9uY2Vub25jZQ.Y2lwaGVydGV4dA.0123abcd"
	byHSMToo = "v1.pkcs11.c2VhbGluZw.bm9uY2Vub25jZQ.b3RoZXItdGV4dA.0123abcd"
	// Of a key in eu-west-1, with the right check.
	byKMSElsewhere = "v1.awskms.YXJuOmF3czprbXM6ZXUtd2VzdC0xOjEyMzQ1Njc4OTAxMjprZXkvMTIzNGFiY2QtMTJhYi0zNGNkLTU2ZWYtMTIzNDU2Nzg5MGFi.EhtHdKdZkkopKcSkEvtuMbmqp0ZGaEDvzEp21pqUFJ4jZOOYPWRv6vqhtRF4XlyekK7cMNpqa-rVUg7MmcZiag.6e4e0e67"
	byKMS          = "v1.awskms.YWxpYXMvc2VhbA.YmxvYg.0123abcd"
	arn            = "arn:aws:kms:eu-central-1:123456789012:"
	secretOfBL     = "BLsk39cUjtfFXrG1fWPGdkdPZFCgKfrsnswowy61QFbHrKKzXC7WSw" // a throwaway
)

// With an HSM.
func TestWhatTheAPIServerSaysOfKeysInAnHSM(t *testing.T) {
	both := func(spec object) { spec["awsKms"] = object{"region": "eu-central-1"} }
	eddsa := func(value any) func(object) {
		return func(spec object) { spec["hsm"].(object)["pkcs11"].(object)["eddsaMechanism"] = value }
	}
	tz4 := func(change func(consensus, companion object)) func(object) {
		return func(spec object) {
			consensus, companion := object{"publicKey": ofTz4, "sealed": byHSM}, object{"publicKey": ofCompanion, "sealed": byHSMToo, "companion": true}
			change(consensus, companion)
			spec["keys"] = []any{consensus, companion}
		}
	}
	asItIs := func(consensus, companion object) {}

	tryEach(t, "tezossigner-octez.yaml", map[string]trial{
		"tz1":                         {keys(object{"publicKey": ofTz1, "label": "a"}), ""},
		"tz2":                         {keys(object{"publicKey": ofTz2, "id": "a1"}), ""},
		"tz3":                         {keys(object{"publicKey": ofTz3, "label": "a"}), ""},
		"tz4":                         {keys(object{"publicKey": ofTz4, "sealed": byHSM}), ""},
		"tz4 that may be proven":      {keys(object{"publicKey": ofTz4, "sealed": byHSM, "allowProofOfPossession": true}), ""},
		"the companion does not bake": {tz4(asItIs), ""},
		"it may say what it signs":    {tz4(func(_, companion object) { companion["allow"] = []any{"attestation"} }), ""},
		"its times": {func(spec object) {
			tz4(asItIs)(spec)
			spec["sealedGraceSeconds"], spec["sealedCheckSeconds"] = 3600, 60
		}, ""},
		"a mechanism":          {eddsa(0x80001057), ""},
		"a mechanism's digits": {eddsa("0x80001057"), ""},

		"both":                    {both, "spec: exactly one of hsm"},
		"neither":                 {func(spec object) { delete(spec, "hsm") }, "spec: exactly one of hsm"},
		"tz4 in the HSM":          {keys(object{"publicKey": ofTz4, "label": "a"}), "sealed: required for a tz4 key"},
		"tz4 by its id":           {keys(object{"publicKey": ofTz4, "id": "a1"}), "sealed: required for a tz4 key"},
		"tz4 in KMS":              {keys(object{"publicKey": ofTz4, "kmsKey": "alias/a"}), "sealed: required for a tz4 key"},
		"tz4 nowhere":             {keys(object{"publicKey": ofTz4}), "sealed: required for a tz4 key"},
		"tz4 in two places":       {keys(object{"publicKey": ofTz4, "sealed": byHSM, "label": "a"}), "exactly one of label (CKA_LABEL), id (CKA_ID), kmsKey"},
		"tz3 nowhere":             {keys(object{"publicKey": ofTz3}), "exactly one of label (CKA_LABEL), id (CKA_ID), kmsKey"},
		"tz3 in two places":       {keys(object{"publicKey": ofTz3, "label": "a", "id": "a1"}), "exactly one of label (CKA_LABEL), id (CKA_ID), kmsKey"},
		"tz3 in KMS":              {keys(object{"publicKey": ofTz3, "kmsKey": "alias/a"}), "spec.keys: kmsKey only with spec.awsKms"},
		"tz1 sealed":              {keys(object{"publicKey": ofTz1, "sealed": byHSM}), "sealed: only for a tz4 key"},
		"tz2 sealed":              {keys(object{"publicKey": ofTz2, "sealed": byHSM}), "sealed: only for a tz4 key"},
		"tz3 sealed":              {keys(object{"publicKey": ofTz3, "sealed": byHSM}), "sealed: only for a tz4 key"},
		"sealed by KMS":           {keys(object{"publicKey": ofTz4, "sealed": byKMS}), "sealed was made by AWS KMS"},
		"a cut text":              {keys(object{"publicKey": ofTz4, "sealed": byHSM[:40]}), "sealed: expected the whole line"},
		"a text of two lines":     {keys(object{"publicKey": ofTz4, "sealed": byHSM + "\n" + byHSM}), "sealed: expected the whole line"},
		"a text with its name":    {keys(object{"publicKey": ofTz4, "sealed": "sealed: " + byHSM}), "sealed: expected the whole line"},
		"an unknown version":      {keys(object{"publicKey": ofTz4, "sealed": "v2" + byHSM[2:]}), "sealed: expected the whole line"},
		"an unknown kind":         {keys(object{"publicKey": ofTz4, "sealed": strings.Replace(byHSM, "pkcs11", "vault", 1)}), "sealed: expected the whole line"},
		"an empty text":           {keys(object{"publicKey": ofTz4, "sealed": ""}), "sealed"},
		"a text without end":      {keys(object{"publicKey": ofTz4, "sealed": "v1.pkcs11." + strings.Repeat("a", 3000)}), "Too long"},
		"the secret itself":       {keys(object{"publicKey": ofTz4, "sealed": secretOfBL}), "sealed: this is a secret key"},
		"an encrypted secret":     {keys(object{"publicKey": ofTz4, "sealed": "BLesk1" + secretOfBL[5:]}), "sealed: this is a secret key"},
		"a public key cut off":    {keys(object{"publicKey": ofTz4[:75], "sealed": byHSM}), "BLpk… (tz4, 76)"},
		"tz1 cut off":             {keys(object{"publicKey": ofTz1[:53], "label": "a"}), "edpk… (tz1, 54 characters)"},
		"the address":             {keys(object{"publicKey": "tz4MWSKxK1nGvoSb2RYdWBqHiA1SAvVJnjpy", "sealed": byHSM}), "publicKey: this is an address"},
		"a companion of tz3":      {keys(object{"publicKey": ofTz3, "label": "a", "companion": true}), "companion: only for a tz4 key"},
		"a proof of tz1":          {keys(object{"publicKey": ofTz1, "label": "a", "allowProofOfPossession": true}), "allowProofOfPossession: only for a tz4 key"},
		"no companion of tz3":     {keys(object{"publicKey": ofTz3, "label": "a", "companion": false, "allowProofOfPossession": false}), ""},
		"a companion that bakes":  {tz4(func(_, companion object) { companion["allow"] = []any{"block", "attestation"} }), "allow: a companion key signs attestations only"},
		"a companion that drains": {tz4(func(_, companion object) { companion["drainDelegate"] = true }), "drainDelegate: a companion key signs attestations only"},
		"the secret of tz1":       {keys(object{"publicKey": ofTz4, "sealed": "unencrypted:edsk" + secretOfBL[4:]}), "sealed: this is a secret key"},
		"a mechanism too high":    {eddsa(0x100000000), "eddsaMechanism"},
		"one key as both":         {tz4(func(_, companion object) { companion["publicKey"] = ofTz4 }), "a companion key must differ from the consensus key"},
		"one text for both":       {tz4(func(_, companion object) { companion["sealed"] = byHSM }), "the same sealed text stands at two keys"},
		"only a companion":        {keys(object{"publicKey": ofTz4, "sealed": byHSM, "companion": true}), "spec.baker.octez.delegate: required"},
		"who bakes":               {tz4(func(_, companion object) { delete(companion, "companion") }), "spec.baker.octez.delegate: required"},
		"a delegate of tz4": {func(spec object) {
			tz4(asItIs)(spec)
			octezOf(spec)["delegate"] = "tz4MWSKxK1nGvoSb2RYdWBqHiA1SAvVJnjpy"
		}, ""},
		"a short grace":        {func(spec object) { spec["sealedGraceSeconds"] = 59 }, "sealedGraceSeconds"},
		"a grace of two weeks": {func(spec object) { spec["sealedGraceSeconds"] = 1_209_600 }, "sealedGraceSeconds"},
		"seldom checked":       {func(spec object) { spec["sealedCheckSeconds"] = 601 }, "sealedCheckSeconds"},
		"never checked":        {func(spec object) { spec["sealedCheckSeconds"] = 0 }, "sealedCheckSeconds"},
		"a mechanism's name":   {eddsa("CKM_EDDSA"), "eddsaMechanism: expected the number"},
		"no mechanism":         {eddsa(0), "eddsaMechanism"},
		"half a mechanism":     {eddsa(1.5), "eddsaMechanism"},
	})
}

// With AWS KMS.
func TestWhatTheAPIServerSaysOfKeysInKMS(t *testing.T) {
	region := func(name string) func(object) { return kms(object{"region": name}) }
	endpoint := func(url string) func(object) { return kms(object{"region": "eu-central-1", "endpoint": url}) }
	key := func(fields object) func(object) {
		return func(spec object) { kms(object{"region": "eu-central-1"})(spec); keys(fields)(spec) }
	}
	tz3 := func(name string) func(object) { return key(object{"publicKey": ofTz3, "kmsKey": name}) }
	expected := "kmsKey: expected alias/NAME or an ARN"

	tryEach(t, "tezossigner-octez.yaml", map[string]trial{
		"tz1":                {key(object{"publicKey": ofTz1, "kmsKey": "alias/a"}), ""},
		"tz2":                {key(object{"publicKey": ofTz2, "kmsKey": arn + "key/1234abcd-12ab-34cd-56ef-1234567890ab"}), ""},
		"of several regions": {tz3(arn + "key/mrk-1234abcd12ab34cd56ef1234567890ab"), ""},
		"tz3":                {tz3(arn + "alias/bakers/one"), ""},
		"tz4":                {key(object{"publicKey": ofTz4, "sealed": byKMS}), ""},
		"the government's": {func(spec object) {
			kms(object{"region": "us-gov-west-1"})(spec)
			keys(object{"publicKey": ofTz3, "kmsKey": "arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/a"})(spec)
		}, ""},
		"the sovereign one":  {region("eusc-de-east-1"), ""},
		"of the VPC":         {endpoint("https://vpce-0a1b-xyz.kms.eu-central-1.vpce.amazonaws.com"), ""},
		"a stand-in":         {endpoint("http://127.0.0.1:4566"), ""},
		"a stand-in by IPv6": {endpoint("http://[::1]:4566/"), ""},
		"a Secret":           {kms(object{"region": "eu-central-1", "credentials": object{"secret": "aws", "key": "credentials"}}), ""},

		"no region":            {kms(object{}), "region"},
		"an empty region":      {region(""), "region"},
		"a zone":               {region("eu-central-1a"), "awsKms.region: expected a region"},
		"a region's words":     {region("Frankfurt"), "awsKms.region: expected a region"},
		"a region in capitals": {region("EU-CENTRAL-1"), "awsKms.region: expected a region"},
		"in the clear":         {endpoint("http://kms.eu-central-1.amazonaws.com"), "awsKms.endpoint: expected https://HOST"},
		"not quite loopback":   {endpoint("http://127.0.0.1.example.org"), "awsKms.endpoint: expected https://HOST"},
		"any dots":             {endpoint("http://127a0b0c1"), "awsKms.endpoint: expected https://HOST"},
		"a path":               {endpoint("https://kms.example.org/v1"), "awsKms.endpoint: expected https://HOST"},
		"a password":           {endpoint("https://me:secret@kms.example.org"), "awsKms.endpoint: expected https://HOST"},
		"a host alone":         {endpoint("kms.eu-central-1.amazonaws.com"), "awsKms.endpoint: expected https://HOST"},
		"no Secret's key":      {kms(object{"region": "eu-central-1", "credentials": object{"secret": "aws"}}), "credentials.key"},
		"a key in the spec":    {kms(object{"region": "eu-central-1", "credentials": object{"secret": "aws", "key": "k", "accessKeyId": "AKIA"}}), "accessKeyId"},
		"the id alone":         {tz3("1234abcd-12ab-34cd-56ef-1234567890ab"), expected},
		"an alias alone":       {tz3("bakers"), expected},
		"an ARN of S3":         {tz3("arn:aws:s3:eu-central-1:123456789012:key/1"), expected},
		"an ARN cut off":       {tz3(arn), expected},
		"no account":           {tz3("arn:aws:kms:eu-central-1::key/1"), expected},
		"another region":       {tz3("arn:aws:kms:eu-west-1:123456789012:key/1"), "the ARN in kmsKey is of another region than spec.awsKms.region"},
		"an alias elsewhere":   {tz3("arn:aws:kms:eu-west-1:123456789012:alias/a"), "the ARN in kmsKey is of another region than spec.awsKms.region"},
		"by a label":           {key(object{"publicKey": ofTz3, "label": "a"}), "spec.keys: label and id only with spec.hsm"},
		"by an id":             {key(object{"publicKey": ofTz3, "id": "a1"}), "spec.keys: label and id only with spec.hsm"},
		"tz4 in KMS":           {key(object{"publicKey": ofTz4, "kmsKey": "alias/a"}), "sealed: required for a tz4 key"},
		"sealed by an HSM":     {key(object{"publicKey": ofTz4, "sealed": byHSM}), "sealed was made by an HSM"},
		"one for two": {func(spec object) {
			key(object{"publicKey": ofTz3, "kmsKey": "alias/a"})(spec)
			spec["keys"] = append(spec["keys"].([]any), object{"publicKey": ofTz2, "kmsKey": "alias/a"})
			octezOf(spec)["delegate"] = "tz3LUdmLdpj2ZpVY7uTQfYuxarVykqYXxvPA"
		}, "the same kmsKey stands at two keys"},
	})
}

// trial is a change of an example, and what the answer has; empty: it is taken.
type trial struct {
	change   func(spec object)
	complain string
}

func keys(fields object) func(object) {
	return func(spec object) { spec["keys"] = []any{fields} }
}

// kms has AWS KMS in place of the HSM.
func kms(fields object) func(object) {
	return func(spec object) {
		delete(spec, "hsm")
		spec["awsKms"] = fields
		spec["keys"] = []any{object{"publicKey": ofTz3, "kmsKey": "alias/a"}}
	}
}

func octezOf(spec object) object { return spec["baker"].(object)["octez"].(object) }

// tryEach creates the example with each change, and nothing of it is kept.
func tryEach(t *testing.T, example string, trials map[string]trial) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(server.checkout, "operator/examples", example))
	if err != nil {
		t.Fatal(err)
	}
	const path = "/apis/signer.tezos.io/v1alpha1/namespaces/default/tezossigners?dryRun=All&fieldValidation=Strict"
	for name, c := range trials {
		var signer object
		if err := yaml.Unmarshal(text, &signer); err != nil {
			t.Fatal(err)
		}
		signer["metadata"].(object)["name"] = "of-a-trial"
		c.change(signer["spec"].(object))
		_, err := server.Do(t.Context(), http.MethodPost, path, signer)
		if (err == nil) != (c.complain == "") || (err != nil && !strings.Contains(err.Error(), c.complain)) {
			spec, _ := json.Marshal(signer["spec"].(object)["keys"])
			t.Errorf("%s: %v\n  expected: %s\n  keys: %s", name, err, c.complain, spec)
		}
	}
}
