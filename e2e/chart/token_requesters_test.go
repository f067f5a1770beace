// podPolicy.tokenRequesters, on an API server: a provider of the Secrets Store CSI driver authenticates as the signer's pod.

package chart

import "strings"

// provider asks for tokens as AWS' provider does, with the rights of its ClusterRole.
var provider = []string{"--as=system:serviceaccount:kube-system:csi-secrets-store-provider-aws"}

const providerRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: csi-secrets-store-provider-aws}
rules:
- {apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]}
- {apiGroups: [""], resources: [serviceaccounts, pods, nodes], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: csi-secrets-store-provider-aws}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: csi-secrets-store-provider-aws}
subjects: [{kind: ServiceAccount, namespace: kube-system, name: csi-secrets-store-provider-aws}]
`

func (p *podPolicies) testTokenRequesters() {
	const rule = "podPolicy.tokenRequesters"
	p.must(p.t, providerRole, "apply", "--filename=-")
	mint := func(audiences ...string) []string {
		args := []string{"create", "token", "signer-one-signer", "--namespace=bakers"}
		for _, audience := range audiences {
			args = append(args, "--audience="+audience)
		}
		return args
	}
	p.refused("a token for AWS STS, of a provider that is not named", provider, rule, "", mint("sts.amazonaws.com")...)

	const values = `podPolicy.tokenRequesters=[{"namespace":"kube-system","name":"csi-secrets-store-provider-aws","audiences":["sts.amazonaws.com","pods.eks.amazonaws.com"]}]`
	if _, err := run(helms[0], "upgrade", release, directory, "--kubeconfig", p.Kubeconfig(), "--namespace", namespace, "--set-json", values); err != nil {
		p.t.Fatal(err)
	}
	defer func() {
		if _, err := run(helms[0], "upgrade", release, directory, "--kubeconfig", p.Kubeconfig(), "--namespace", namespace); err != nil {
			p.t.Error(err)
		}
		p.awaitPolicies()
	}()
	var last error
	p.await("the provider gets its token", func() bool {
		_, last = p.Kubectl("", append(mint("sts.amazonaws.com"), provider...)...)
		return last == nil
	})
	p.allowed("a token for Pod Identity", provider, "", mint("pods.eks.amazonaws.com")...)
	p.allowed("a token for both", provider, "", mint("sts.amazonaws.com", "pods.eks.amazonaws.com")...)
	for _, audiences := range [][]string{nil, {"vault"}, {"https://kubernetes.default.svc"}, {"sts.amazonaws.com", "https://kubernetes.default.svc"}} {
		p.refused("a token for "+strings.Join(audiences, " and "), provider, rule, "", mint(audiences...)...)
	}
	for _, who := range [][]string{editor, clusterAdmin, {"--as=system:serviceaccount:bakers:csi-secrets-store-provider-aws", "--as-group=system:masters"}} {
		p.refused("a token for AWS STS", who, rule, "", mint("sts.amazonaws.com")...)
	}
	p.refused("a token for ever", append(provider, "--as-group=system:masters"), rule, tokenSecret("baker-one-signer"), createDry...)
}
