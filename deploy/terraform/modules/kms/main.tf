# Keys in AWS KMS. Their policy is AWS's default, which delegates to IAM: the module signer-role gives the rights. A key cannot be exported,
# and a deleted one is lost.

locals {
  specs = {
    tz1 = "ECC_NIST_EDWARDS25519"
    tz2 = "ECC_SECG_P256K1"
    tz3 = "ECC_NIST_P256"
  }

  # Who makes tz4 keys, not the signer. deploy/iam/seal.json has the rights, and this the key.
  seal      = jsondecode(file("${path.module}/../../../iam/seal.json"))
  seal_keys = { SealAndTryToUnseal = [for key in aws_kms_key.sealing : key.arn] }
  seal_statements = [
    for statement in local.seal.Statement :
    merge(statement, { for sid, keys in local.seal_keys : "Resource" => keys if sid == statement.Sid })
  ]
}

resource "aws_kms_key" "signing" {
  for_each = var.keys

  description              = "Tezos ${each.value}: ${each.key}"
  key_usage                = "SIGN_VERIFY"
  customer_master_key_spec = local.specs[each.value]
  deletion_window_in_days  = var.deletion_window_in_days

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "signing" {
  for_each = var.keys

  name          = "alias/${each.key}"
  target_key_id = aws_kms_key.signing[each.key].key_id
}

resource "aws_kms_key" "sealing" {
  count = var.sealing_key == null ? 0 : 1

  description              = "Seals tz4 keys of Tezos: ${var.sealing_key}"
  key_usage                = "ENCRYPT_DECRYPT"
  customer_master_key_spec = "SYMMETRIC_DEFAULT"
  deletion_window_in_days  = var.deletion_window_in_days

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "sealing" {
  count = var.sealing_key == null ? 0 : 1

  name          = "alias/${var.sealing_key}"
  target_key_id = aws_kms_key.sealing[0].key_id
}

resource "aws_iam_policy" "seal" {
  count = var.sealing_key == null ? 0 : 1

  name        = "${var.sealing_key}-seal"
  description = "Who makes tz4 keys: seal, and try to unseal. Not for the signer"
  policy      = jsonencode(merge(local.seal, { Statement = local.seal_statements }))
}
