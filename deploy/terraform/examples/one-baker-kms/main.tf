# One baker on a cluster of its own, with its key in AWS KMS.

module "network" {
  source = "../../modules/network"

  name                = var.name
  region              = var.region
  availability_zones  = var.availability_zones
  interface_endpoints = ["kms"] # a signature does not depend on the NAT gateway
}

module "eks" {
  source = "../../modules/eks"

  name                = var.name
  subnet_ids          = module.network.private_subnet_ids
  public_access_cidrs = var.public_access_cidrs

  node_groups = {
    bakers = {
      instance_types = ["m7i.large"]
      size           = 2
    }
  }
}

module "ecr" {
  source = "../../modules/ecr"

  prefix = var.name
  images = ["tezos-signer", "tezos-signer-operator"]
}

module "kms" {
  source = "../../modules/kms"

  keys = { baker-one = var.scheme }
}

module "signer_role" {
  source = "../../modules/signer-role"

  name                  = "${var.name}-baker-one"
  cluster_arn           = module.eks.cluster_arn
  namespace             = var.namespace
  tezossigner           = "baker-one"
  sign_ecdsa_key_arns   = var.scheme == "tz1" ? [] : [module.kms.key_arns["baker-one"]]
  sign_ed25519_key_arns = var.scheme == "tz1" ? [module.kms.key_arns["baker-one"]] : []
}

module "chart" {
  source = "../../modules/chart"
  count  = var.operator_image == null ? 0 : 1

  operator_image = var.operator_image
  signer_image   = var.signer_image
}
