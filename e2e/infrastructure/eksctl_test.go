package infrastructure

import (
	"encoding/json"
	"reflect"
	"testing"

	"signer.tezos.io/e2e/fields"
)

// The eksctl variant has fields that eksctl knows, the rights of deploy/iam, and nodes as the Terraform modules make them.
func TestTheEksctlFiles(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(read(t, "e2e/infrastructure/schemas/eksctl.json")), &schema); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"deploy/eksctl/cluster-kms.yaml", "deploy/eksctl/cluster-cloudhsm.yaml"} {
		var cluster map[string]any
		decode(t, read(t, file), &cluster)
		fields.Check(t, file, cluster, schema)
		groups, _ := cluster["managedNodeGroups"].([]any)
		for _, group := range groups {
			if fields.At(group, "disablePodIMDS") != true || fields.At(group, "disableIMDSv1") != true || fields.At(group, "privateNetworking") != true {
				t.Errorf("%s: the nodes %v: pods reach their credentials, or they are on the internet", file, fields.At(group, "name"))
			}
			isHSM := fields.At(group, "securityGroups") != nil
			if isTainted := fields.At(group, "taints") != nil; isTainted != isHSM {
				t.Errorf("%s: what reaches the HSMs must be tainted, and nothing else: %v", file, fields.At(group, "name"))
			}
		}
		if len(groups) == 0 {
			t.Errorf("%s has no nodes", file)
		}
	}

	// With one tz3 key: the first and the last statement of sign.json.
	var cluster map[string]any
	decode(t, read(t, "deploy/eksctl/cluster-kms.yaml"), &cluster)
	given := policyOf(t, show(fields.At(cluster, "iam", "podIdentityAssociations", 0, "permissionPolicy")))
	wanted := policyOf(t, read(t, "deploy/iam/sign.json"))
	wanted.Statement = []map[string]any{wanted.Statement[0], wanted.Statement[2]}
	for _, statement := range wanted.Statement {
		statement["Resource"] = []any{"arn:aws:kms:eu-central-1:111122223333:key/TZ3-KEY-ID"}
	}
	if !reflect.DeepEqual(given, wanted) {
		t.Errorf("the role's policy is\n%s\nnot\n%s", show(given), show(wanted))
	}
	if account := fields.At(cluster, "iam", "podIdentityAssociations", 0, "serviceAccountName"); account != "baker-one-signer" {
		t.Errorf("the operator makes the ServiceAccount baker-one-signer, not %v", account)
	}
}
