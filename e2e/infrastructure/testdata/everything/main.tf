# Every variable of every module, each set to something: the test fails for a variable that is not set here.

terraform {
  required_providers {
    aws  = { source = "hashicorp/aws" }
    helm = { source = "hashicorp/helm" }
  }
}

module "network" {
  source = "../../../../deploy/terraform/modules/network"

  name                = "all"
  region              = "eu-central-1"
  cidr                = "10.1.0.0/16"
  availability_zones  = ["eu-central-1a", "eu-central-1b"]
  nat_gateway         = false
  interface_endpoints = ["kms", "cloudhsmv2", "sts", "eks-auth", "ecr.api", "ecr.dkr"]
}

module "cloudhsm" {
  source = "../../../../deploy/terraform/modules/cloudhsm"

  name        = "all"
  subnet_ids  = module.network.private_subnet_ids
  initialised = true
  mode        = "NON_FIPS"
}

module "security_groups" {
  source = "../../../../deploy/terraform/modules/security-groups"

  name                  = "clients"
  vpc_id                = module.network.vpc_id
  hsm_security_group_id = module.cloudhsm.security_group_id
}

module "eks" {
  source = "../../../../deploy/terraform/modules/eks"

  name                  = "all"
  kubernetes_version    = "1.33"
  subnet_ids            = module.network.private_subnet_ids
  public_access_cidrs   = []
  admin_role_arns       = ["arn:aws:iam::111122223333:role/admin"]
  secrets_kms_key_arn   = module.kms.sealing_key_arn
  log_types             = ["audit"]
  log_retention_in_days = 30
  irsa                  = true

  node_groups = {
    arm = {
      instance_types     = ["m7g.large"]
      size               = 1
      ami_type           = "AL2023_ARM_64_STANDARD"
      security_group_ids = [module.security_groups.clients_security_group_id]
      labels             = { team = "bakers" }
      taints             = [{ key = "team", value = "bakers", effect = "NO_SCHEDULE" }]
      zone_index         = 1
    }
  }
}

module "ecr" {
  source = "../../../../deploy/terraform/modules/ecr"

  prefix = "all"
  images = ["tezos-signer"]
}

module "kms" {
  source = "../../../../deploy/terraform/modules/kms"

  keys                    = { one = "tz1", two = "tz2", three = "tz3" }
  sealing_key             = "sealing"
  deletion_window_in_days = 7
}

# By IRSA, with every right.
module "signer_role" {
  source = "../../../../deploy/terraform/modules/signer-role"

  name                       = "all"
  cluster_arn                = module.eks.cluster_arn
  namespace                  = "bakers"
  tezossigner                = "all"
  sign_ecdsa_key_arns        = [module.kms.key_arns["two"], module.kms.key_arns["three"]]
  sign_ed25519_key_arns      = [module.kms.key_arns["one"]]
  unseal                     = { key_arn = module.kms.sealing_key_arn, public_keys = ["BLpk-ONE", "BLpk-TWO"] }
  describe_cloudhsm_clusters = true
  irsa                       = { oidc_provider_arn = module.eks.oidc_provider_arn }
}

# By Pod Identity, to open sealed keys only.
module "sealed_role" {
  source = "../../../../deploy/terraform/modules/signer-role"

  name        = "sealed"
  cluster_arn = module.eks.cluster_arn
  namespace   = "bakers"
  tezossigner = "sealed"
  unseal      = { key_arn = module.kms.sealing_key_arn, public_keys = ["BLpk-ONE"] }
}

module "chart" {
  source = "../../../../deploy/terraform/modules/chart"

  chart              = "oci://registry.example/charts/tezos-signer-operator"
  chart_version      = "0.2.1"
  namespace          = "operators"
  operator_image     = "registry.example/tezos-signer-operator@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  signer_image       = "registry.example/tezos-signer@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  watch_namespaces   = ["bakers"]
  node_selector      = { team = "platform" }
  prometheus_release = "kube-prometheus-stack"
  extra_values       = { logLevel = "debug", podMonitor = { interval = "30s" } }
}

output "annotations" {
  value = module.signer_role.annotations
}

output "no_annotations" {
  value = module.sealed_role.annotations
}
