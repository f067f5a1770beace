# The role of one TezosSigner's ServiceAccount: only what deploy/iam says, only for that ServiceAccount. The policies are read from
# deploy/iam, which docs/kms.md shows and the tests hold the signer to; only the names in them are replaced.

locals {
  iam = "${path.module}/../../../iam"

  # arn:PARTITION:eks:REGION:ACCOUNT:cluster/NAME
  partition = split(":", var.cluster_arn)[1]
  account   = split(":", var.cluster_arn)[4]
  cluster   = split("/", var.cluster_arn)[1]

  service_account = "${var.tezossigner}-signer"

  trust_pod_identity = replace(replace(replace(replace(file("${local.iam}/trust-pod-identity.json"),
    "111122223333", local.account),
    "\"CLUSTER\"", jsonencode(local.cluster)),
    "\"NAMESPACE\"", jsonencode(var.namespace)),
  "\"SERVICE-ACCOUNT\"", jsonencode(local.service_account))

  # arn:PARTITION:iam::ACCOUNT:oidc-provider/ISSUER
  provider_arn = var.irsa == null ? "" : var.irsa.oidc_provider_arn
  issuer       = replace(local.provider_arn, "/^[^/]*//", "")

  trust_irsa = replace(replace(replace(file("${local.iam}/trust-irsa.json"),
    "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/OIDC-ID", local.provider_arn),
    "oidc.eks.eu-west-1.amazonaws.com/id/OIDC-ID", local.issuer),
  "system:serviceaccount:NAMESPACE:SERVICE-ACCOUNT", "system:serviceaccount:${var.namespace}:${local.service_account}")

  # The keys of each statement of sign.json. A statement without keys is left out; one with an unknown Sid is an error.
  sign = jsondecode(file("${local.iam}/sign.json"))
  sign_keys = {
    SignDigestsWithTheseKeys = var.sign_ecdsa_key_arns
    SignWithThisKeyOfEd25519 = var.sign_ed25519_key_arns
    CompareThePublicKeys     = concat(var.sign_ecdsa_key_arns, var.sign_ed25519_key_arns)
  }
  sign_statements = [
    for statement in local.sign.Statement : merge(statement, { Resource = local.sign_keys[statement.Sid] })
    if length(local.sign_keys[statement.Sid]) > 0
  ]

  unseal = jsondecode(file("${local.iam}/unseal.json"))
  unseal_statements = [
    for statement in local.unseal.Statement : merge(statement, {
      Resource = [var.unseal.key_arn]
      Condition = {
        StringEquals = merge(statement.Condition.StringEquals, { "kms:EncryptionContext:publicKey" = var.unseal.public_keys })
      }
    }) if var.unseal != null
  ]

  # docs/cloudhsm.md, «clusterId instead of addresses». AWS has no narrower resource for it.
  describe_statements = [{ Effect = "Allow", Action = "cloudhsm:DescribeClusters", Resource = "*" }]

  policies = {
    sign     = local.sign_statements
    unseal   = local.unseal_statements
    describe = local.describe_statements
  }
}

resource "aws_iam_role" "this" {
  name               = var.name
  description        = "The signers of TezosSigner ${var.namespace}/${var.tezossigner}"
  assume_role_policy = var.irsa == null ? local.trust_pod_identity : local.trust_irsa
}

resource "aws_iam_role_policy" "this" {
  for_each = toset(concat(
    length(var.sign_ecdsa_key_arns) + length(var.sign_ed25519_key_arns) > 0 ? ["sign"] : [],
    var.unseal != null ? ["unseal"] : [],
    var.describe_cloudhsm_clusters ? ["describe"] : [],
  ))

  name   = each.key
  role   = aws_iam_role.this.name
  policy = jsonencode({ Version = "2012-10-17", Statement = local.policies[each.key] })
}

resource "aws_eks_pod_identity_association" "this" {
  count = var.irsa == null ? 1 : 0

  cluster_name    = local.cluster
  namespace       = var.namespace
  service_account = local.service_account
  role_arn        = aws_iam_role.this.arn
}
