// The rights that are given are those of deploy/iam: docs/kms.md shows these, and the signer's tests are held to them.

package infrastructure

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// policy is a document of IAM.
type policy struct {
	Version   string
	Statement []map[string]any
}

func TestTheRolesHaveTheRightsOfDeployIam(t *testing.T) {
	t.Parallel()
	applied := everything(t)
	const key = "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000001" // the tests' provider makes them all alike
	given := map[string]policy{}
	trust := map[string]policy{}
	for _, r := range applied.resources {
		module, _, _ := strings.Cut(strings.TrimPrefix(r.Address, "module."), ".")
		switch {
		case r.Type == "aws_iam_role_policy" || r.Type == "aws_iam_policy":
			given[module+" "+r.Values["name"].(string)] = policyOf(t, r.Values["policy"])
		case r.Type == "aws_iam_role" && strings.HasSuffix(module, "_role"):
			trust[module] = policyOf(t, r.Values["assume_role_policy"])
		}
	}

	sign := policyOf(t, read(t, "deploy/iam/sign.json"))
	for i, keys := range [][]any{{key, key}, {key}, {key, key, key}} {
		sign.Statement[i]["Resource"] = keys
	}
	unseal, alone := policyOf(t, read(t, "deploy/iam/unseal.json")), policyOf(t, read(t, "deploy/iam/unseal.json"))
	for document, keys := range map[*policy][]any{&unseal: {"BLpk-ONE", "BLpk-TWO"}, &alone: {"BLpk-ONE"}} {
		document.Statement[0]["Resource"] = []any{key}
		document.Statement[0]["Condition"].(map[string]any)["StringEquals"].(map[string]any)["kms:EncryptionContext:publicKey"] = keys
	}
	seal := policyOf(t, read(t, "deploy/iam/seal.json"))
	seal.Statement[0]["Resource"] = []any{key}
	describe := policyOf(t, `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "cloudhsm:DescribeClusters", "Resource": "*"}]}`)
	if documented := `{"Effect": "Allow", "Action": "cloudhsm:DescribeClusters", "Resource": "*"}`; !strings.Contains(read(t, "docs/cloudhsm.md"), documented) {
		t.Errorf("docs/cloudhsm.md does not have %s", documented)
	}
	wanted := map[string]policy{
		"signer_role sign": sign, "signer_role unseal": unseal, "signer_role describe": describe, "sealed_role unseal": alone, "kms sealing-seal": seal,
	}
	if !reflect.DeepEqual(given, wanted) {
		t.Errorf("given:\n%s\nnot:\n%s", show(given), show(wanted))
	}

	issuer := "oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF"
	irsa := strings.NewReplacer("oidc.eks.eu-west-1.amazonaws.com/id/OIDC-ID", issuer, "NAMESPACE:SERVICE-ACCOUNT", "bakers:all-signer")
	podIdentity := strings.NewReplacer("CLUSTER", "all", "NAMESPACE", "bakers", "SERVICE-ACCOUNT", "sealed-signer")
	wanted = map[string]policy{
		"signer_role": policyOf(t, irsa.Replace(read(t, "deploy/iam/trust-irsa.json"))),
		"sealed_role": policyOf(t, podIdentity.Replace(read(t, "deploy/iam/trust-pod-identity.json"))),
	}
	if !reflect.DeepEqual(trust, wanted) {
		t.Errorf("trusted:\n%s\nnot:\n%s", show(trust), show(wanted))
	}
	// Either way, and not both.
	associations := applied.of("aws_eks_pod_identity_association")
	if len(associations) != 1 || associations[0]["service_account"] != "sealed-signer" || associations[0]["namespace"] != "bakers" {
		t.Errorf("associations: %v", associations)
	}
	if annotations := applied.outputs["annotations"]; !reflect.DeepEqual(annotations, map[string]any{"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/all"}) {
		t.Errorf("the annotations for IRSA: %v", annotations)
	}
}

func policyOf(t *testing.T, text any) policy {
	t.Helper()
	var p policy
	if err := json.Unmarshal([]byte(text.(string)), &p); err != nil || len(p.Statement) == 0 {
		t.Fatalf("%v: %v", err, text)
	}
	return p
}

func show(value any) string {
	text, _ := json.MarshalIndent(value, "", "  ")
	return string(text)
}
