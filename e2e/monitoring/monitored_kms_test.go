// A signer with AWS KMS, whose part local-kms plays: it has a key in KMS, and a tz4 key that a key of KMS has sealed.

package monitoring

import (
	"encoding/json"
	"os/exec"
	"path/filepath"

	"signer.tezos.io/e2e/localkms"
	"signer.tezos.io/e2e/octezclient"
)

// kmsSigner is that signer, what it is asked to sign with, and the key that seals.
type kmsSigner struct {
	signer
	kms     *localkms.KMS
	key     *octezclient.PublicKey // in KMS
	sealed  *octezclient.PublicKey
	sealing string
}

func (s *monitoredEnv) startKMSSigner() {
	s.t.Helper()
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	kms, err := localkms.Start(s.t.Context(), filepath.Join(tools, "local-kms"), filepath.Join(s.dir, "kms"))
	must(err)
	s.t.Cleanup(kms.Stop)
	arn, key, err := kms.CreateSigningKey(s.t.Context(), octezclient.P256)
	must(err)
	sealing, err := kms.CreateSealingKey(s.t.Context())
	must(err)

	credentials := s.write("aws", []byte("[default]\naws_access_key_id = AKIAE2E\naws_secret_access_key = of-a-test\n"))
	section := object{"region": localkms.Region, "endpoint": kms.Endpoint(), "credentialsFile": credentials}
	text, err := exec.Command(program("tezos-signer", "TEZOS_SIGNER"), "keys", "generate", "--config", s.write("kms.json", object{"awsKms": section}),
		"--curve", octezclient.BLS12381.Name, "--seal-with", sealing, "--output", "json").Output()
	must(err)
	var made struct{ PublicKey, Sealed string }
	must(json.Unmarshal(text, &made))
	sealed, err := octezclient.ParsePublicKey(made.PublicKey)
	must(err)

	s.addRecord(key)
	s.addRecord(sealed)
	s.kms = kmsSigner{kms: kms, key: key, sealed: sealed, sealing: sealing}
	s.kms.signer = s.runSigner("kms-a", "kms", object{
		"awsKms": section, "sealedCheckSeconds": 1,
		"keys": []object{
			{"publicKey": key.String(), "kmsKey": arn, "chain": "NetXdQprcVkpaWU"},
			{"publicKey": sealed.String(), "sealed": made.Sealed, "chain": "NetXdQprcVkpaWU"},
		},
	})
}
