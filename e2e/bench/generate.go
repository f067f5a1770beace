// Keys for measurements: many, made within one session. Keys that somebody signs with are made by `tezos-signer keys generate`, which takes
// a process and a login each.

package bench

import (
	"encoding/asn1"
	"fmt"

	"github.com/miekg/pkcs11"

	"signer.tezos.io/e2e/octezclient"
)

var curveParameters = map[*octezclient.Curve]asn1.ObjectIdentifier{
	octezclient.P256:      {1, 2, 840, 10045, 3, 1, 7},
	octezclient.Secp256k1: {1, 3, 132, 0, 10},
}

// Generate makes a key pair on the token.
func (t *Token) Generate(label string, curve *octezclient.Curve) (*octezclient.PublicKey, error) {
	parameters, err := asn1.Marshal(curveParameters[curve])
	if err != nil {
		return nil, err
	}
	attribute := pkcs11.NewAttribute
	public, _, err := t.module.GenerateKeyPair(t.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)},
		[]*pkcs11.Attribute{
			attribute(pkcs11.CKA_TOKEN, true), attribute(pkcs11.CKA_LABEL, label), attribute(pkcs11.CKA_ID, []byte(label)),
			attribute(pkcs11.CKA_VERIFY, true), attribute(pkcs11.CKA_EC_PARAMS, parameters),
		},
		[]*pkcs11.Attribute{
			attribute(pkcs11.CKA_TOKEN, true), attribute(pkcs11.CKA_LABEL, label), attribute(pkcs11.CKA_ID, []byte(label)),
			attribute(pkcs11.CKA_SIGN, true), attribute(pkcs11.CKA_PRIVATE, true), attribute(pkcs11.CKA_SENSITIVE, true), attribute(pkcs11.CKA_EXTRACTABLE, false),
		})
	if err != nil {
		return nil, fmt.Errorf("C_GenerateKeyPair: %w", err)
	}
	found, err := t.module.GetAttributeValue(t.session, public, []*pkcs11.Attribute{attribute(pkcs11.CKA_EC_POINT, nil)})
	if err != nil {
		return nil, fmt.Errorf("C_GetAttributeValue: %w", err)
	}
	var point []byte // 04, x, y
	if _, err := asn1.Unmarshal(found[0].Value, &point); err != nil {
		return nil, fmt.Errorf("CKA_EC_POINT is no OCTET STRING: %w", err)
	}
	const coordinate = 32
	if len(point) != 1+2*coordinate {
		return nil, fmt.Errorf("CKA_EC_POINT has %d bytes", len(point))
	}
	compressed := append([]byte{2 + point[2*coordinate]&1}, point[1:1+coordinate]...)
	return octezclient.NewPublicKey(curve, compressed)
}
