// What AWS would fill in.

package main

import (
	"math/big"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// What the modules take apart, so that its form matters. NAME is the resource's own name.
var forms = map[string]string{
	"aws_eks_cluster.arn":                           "arn:aws:eks:eu-central-1:111122223333:cluster/NAME",
	"aws_eks_cluster.endpoint":                      "https://0123456789ABCDEF.gr7.eu-central-1.eks.amazonaws.com",
	"aws_eks_cluster.certificate_authority.data":    "Y2VydGlmaWNhdGU=",
	"aws_eks_cluster.identity.oidc.issuer":          "https://oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF",
	"aws_iam_openid_connect_provider.arn":           "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF",
	"aws_iam_role.arn":                              "arn:aws:iam::111122223333:role/NAME",
	"aws_kms_key.arn":                               "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000001",
	"aws_ecr_repository.repository_url":             "111122223333.dkr.ecr.eu-central-1.amazonaws.com/NAME",
	"aws_cloudhsm_v2_cluster.cluster_id":            "cluster-abcdefghijk",
	"aws_cloudhsm_v2_hsm.ip_address":                "10.0.1.6",
	"aws_eks_cluster.vpc_config.security_group_ids": "sg-0123456789abcdef0",
}

// nameOf is what the resource was named; empty if it has no name.
func nameOf(resource tftypes.Value) string {
	var fields map[string]tftypes.Value
	var name string
	if resource.As(&fields) != nil || !fields["name"].IsKnown() || fields["name"].IsNull() || fields["name"].As(&name) != nil {
		return ""
	}
	return name
}

// filled is a value of that type: a text says of which attribute it is, a list has one item.
func filled(resource, name, path string, type_ tftypes.Type) tftypes.Value {
	switch type_ := type_.(type) {
	case tftypes.List:
		return tftypes.NewValue(type_, []tftypes.Value{filled(resource, name, path, type_.ElementType)})
	case tftypes.Set:
		return tftypes.NewValue(type_, []tftypes.Value{filled(resource, name, path, type_.ElementType)})
	case tftypes.Map:
		return tftypes.NewValue(type_, map[string]tftypes.Value{})
	case tftypes.Object:
		fields := map[string]tftypes.Value{}
		for field, of := range type_.AttributeTypes {
			fields[field] = filled(resource, name, path+"."+field, of)
		}
		return tftypes.NewValue(type_, fields)
	}
	switch {
	case type_.Is(tftypes.Number):
		return tftypes.NewValue(type_, big.NewFloat(1))
	case type_.Is(tftypes.Bool):
		return tftypes.NewValue(type_, false)
	case type_.Is(tftypes.String):
		text, known := forms[resource+"."+path]
		if !known {
			text = resource + "." + path
		}
		return tftypes.NewValue(type_, strings.ReplaceAll(text, "NAME", name))
	}
	return tftypes.NewValue(type_, nil)
}
