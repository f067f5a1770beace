package acceptance

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/localkms"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
	"signer.tezos.io/e2e/scenario"
)

const secretAccessKey = "aSecretAccessKeyThatNobodyMaySee"

// Keys in KMS, of tz2 and tz3, and a tz4 that a key in KMS seals: each signs, and once. KMS that cannot be reached stops the first two
// for as long, and not the third; a key that is disabled stops what it is for, and says so.
func TestKeysInKMSSign(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	kms, err := localkms.Start(ctx, filepath.Join(suite.Checkout, "target/tools/local-kms"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(kms.Log())
		}
		kms.Stop()
	})
	s := newSigner(t, "kms")
	s.InitialLevel = scenario.Tz4InitialLevel
	arns := addKMSKeys(t, s, kms)
	credentials := "[default]\naws_access_key_id = AKIAE2E\naws_secret_access_key = " + secretAccessKey + "\n"
	if err := suite.ApplySecret(ctx, s.Name+"-aws", map[string][]byte{"credentials": []byte(credentials)}); err != nil {
		t.Fatal(err)
	}
	text := editedManifest(t, s, func(_, spec map[string]any) {
		delete(spec, "hsm")
		spec["awsKms"] = map[string]any{"region": localkms.Region, "endpoint": kms.Endpoint(),
			"credentials": map[string]any{"secret": s.Name + "-aws", "key": "credentials"}}
		spec["sealedCheckSeconds"] = 2
	})
	if err := suite.Cluster.Apply(ctx, text); err != nil {
		t.Fatal(err)
	}
	pod := awaitAnyPod(t, s)
	container := signerContainer(t, pod.Metadata.Name)
	kmsInPod := connectToPod(t, container, kms.Port)
	if err := suite.Cluster.AwaitReady(ctx, namespace, s.Name, readyTimeout, func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}

	test := &kmsTest{t: t, client: clientInPod(t, container), signer: s, level: scenario.Tz4InitialLevel}
	test.signsOnce()

	kmsInPod.cut()
	if err := test.ask(0); !refusedWith(err, 502) {
		t.Errorf("a key in KMS, which cannot be reached: %v", err)
	}
	if err := test.ask(2); err != nil {
		t.Errorf("a sealed key, while KMS cannot be reached: %v", err)
	}
	kmsInPod.heal()
	test.awaitSigned(0, "KMS can be reached again")

	for at, name := range []string{"the key in KMS", "another key in KMS", "the key in KMS that seals"} {
		if err := kms.Disable(ctx, arns[at]); err != nil {
			t.Fatal(err)
		}
		test.awaitRefused(at, name+" is disabled")
		if complaint := awaitConditionNaming(t, s.Name, s.Keys[at].PublicKeyHash); !strings.Contains(complaint, "isabled") {
			t.Errorf("%s is disabled, and no condition says it: %s", name, complaint)
		}
		if err := test.ask((at + 1) % len(arns)); err != nil {
			t.Errorf("%s is disabled, and another does not sign: %v", name, err)
		}
		if err := kms.Enable(ctx, arns[at]); err != nil {
			t.Fatal(err)
		}
		test.awaitSigned(at, name+" is enabled again")
	}
	if seen := seenOf(t, pod) + seenOfAll(t); strings.Contains(seen, secretAccessKey) {
		t.Error("the secret access key is seen")
	}
}

// addKMSKeys gives the signer a tz3 by its ARN, a tz2 by its alias, and a sealed tz4. It returns the keys of KMS that these need.
func addKMSKeys(t *testing.T, s *fixture.Signer, kms *localkms.KMS) (arns []string) {
	t.Helper()
	for _, curve := range []*octezclient.Curve{octezclient.P256, octezclient.Secp256k1} {
		arn, key, err := kms.CreateSigningKey(t.Context(), curve)
		if err != nil {
			t.Fatal(err)
		}
		arns = append(arns, arn)
		named := arn
		if curve == octezclient.Secp256k1 {
			named = "alias/baker"
			if err := kms.CreateAlias(t.Context(), named, arn); err != nil {
				t.Fatal(err)
			}
		}
		s.Keys = append(s.Keys, &fixture.Key{PublicKey: key.String(), PublicKeyHash: key.Hash(), Curve: curve.Name, KmsKey: named})
	}
	sealing, err := kms.CreateSealingKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	secret, err := octezclient.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	section := map[string]any{"region": localkms.Region, "endpoint": kms.Endpoint()}
	env := []string{"AWS_ACCESS_KEY_ID=AKIAE2E", "AWS_SECRET_ACCESS_KEY=" + secretAccessKey}
	sealed, err := suite.SealByKMS(t.Context(), section, env, sealing, secret)
	if err != nil {
		t.Fatal(err)
	}
	s.Keys = append(s.Keys, sealed)
	return append(arns, sealing)
}

type kmsTest struct {
	t      *testing.T
	client *octezclient.Client
	signer *fixture.Signer
	level  int32 // the last that was asked for
}

func (k *kmsTest) attestation(key *octezclient.PublicKey) []byte {
	k.t.Helper()
	newPayload := payload.New
	if key.Curve == octezclient.BLS12381 {
		newPayload = payload.NewTz4
	}
	vote, err := newPayload("attestation", k.level, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	return vote
}

// ask asks once for what was never asked for, by the how-manieth key.
func (k *kmsTest) ask(at int) error {
	k.t.Helper()
	k.level++
	key := k.signer.Keys[at].Parsed()
	vote := k.attestation(key)
	signature, err := k.client.RequestOnce(k.t.Context(), key, vote)
	if err == nil {
		err = octezclient.CheckSignature(key, vote, signature)
	}
	return err
}

// signsOnce: the same again is the same, another is refused.
func (k *kmsTest) signsOnce() {
	k.t.Helper()
	k.level++
	for _, s := range k.signer.Keys {
		key := s.Parsed()
		vote := k.attestation(key)
		first, err := k.client.Sign(k.t.Context(), key, vote)
		if err != nil {
			k.t.Fatalf("%s: %v", key.Hash(), err)
		}
		if again, err := k.client.Sign(k.t.Context(), key, vote); err != nil || again != first {
			k.t.Errorf("%s: the same again: %s, %v; first %s", key.Hash(), again, err, first)
		}
		if _, err := k.client.Sign(k.t.Context(), key, k.attestation(key)); !refusedWith(err, 409) {
			k.t.Errorf("%s: another of that position: %v", key.Hash(), err)
		}
	}
}

func (k *kmsTest) awaitSigned(at int, after string) {
	k.t.Helper()
	var last error
	begin := time.Now()
	if err := kubectl.Await(k.t.Context(), time.Minute, func() (bool, error) {
		last = k.ask(at)
		return last == nil, nil
	}); err != nil {
		k.t.Errorf("%s: it does not sign: %v", after, last)
	}
	k.t.Logf("%s: it signs after %s", after, time.Since(begin).Round(time.Millisecond))
}

func (k *kmsTest) awaitRefused(at int, after string) {
	k.t.Helper()
	var last error
	begin := time.Now()
	if err := kubectl.Await(k.t.Context(), time.Minute, func() (bool, error) {
		last = k.ask(at)
		return last != nil, nil
	}); err != nil {
		k.t.Errorf("%s: it signs on", after)
	}
	k.t.Logf("%s: after %s: %v", after, time.Since(begin).Round(time.Millisecond), last)
}

// awaitAnyPod waits for a pod of the TezosSigner, ready or not.
func awaitAnyPod(t *testing.T, s *fixture.Signer) *kubectl.Pod {
	t.Helper()
	var found *kubectl.Pod
	if err := kubectl.Await(t.Context(), time.Minute, func() (bool, error) {
		for _, pod := range pods(t, s.Name) {
			found = &pod
		}
		return found != nil, nil
	}); err != nil {
		t.Fatalf("%s gets no pod: %v; %s", s.Name, err, awaitNotReady(t, s.Name, time.Second))
	}
	return found
}

// podConnection leads from a port of a pod's loopback to the same one of this machine's.
type podConnection struct {
	t       *testing.T
	network *os.File
	address string

	lock        sync.Mutex
	listener    net.Listener
	connections []net.Conn
}

func connectToPod(t *testing.T, container, port string) *podConnection {
	t.Helper()
	p := &podConnection{t: t, network: networkOf(t, container), address: net.JoinHostPort("127.0.0.1", port)}
	p.heal()
	t.Cleanup(p.cut)
	return p
}

// heal lets the pod through.
func (p *podConnection) heal() {
	p.t.Helper()
	listener, err := inNetwork(p.network, func() (net.Listener, error) { return net.Listen("tcp", p.address) })
	if err != nil {
		p.t.Fatal(err)
	}
	p.lock.Lock()
	p.listener = listener
	p.lock.Unlock()
	go func() {
		for {
			inside, err := listener.Accept()
			if err != nil {
				return // it is cut
			}
			outside, err := net.Dial("tcp", p.address)
			if err != nil {
				inside.Close()
				continue
			}
			p.lock.Lock()
			p.connections = append(p.connections, inside, outside)
			p.lock.Unlock()
			for _, way := range [][2]net.Conn{{inside, outside}, {outside, inside}} {
				go func() {
					io.Copy(way[1], way[0])
					way[1].Close()
				}()
			}
		}
	}()
}

// cut lets nothing through.
func (p *podConnection) cut() {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.listener.Close()
	for _, connection := range p.connections {
		connection.Close()
	}
	p.connections = nil
}
