# One baker on a cluster of its own, with its key in AWS CloudHSM.

module "network" {
  source = "../../modules/network"

  name               = var.name
  region             = var.region
  availability_zones = var.availability_zones
}

module "cloudhsm" {
  source = "../../modules/cloudhsm"

  name        = var.name
  subnet_ids  = module.network.private_subnet_ids
  initialised = var.initialised
}

module "security_groups" {
  source = "../../modules/security-groups"

  name                  = "${var.name}-cloudhsm-clients"
  vpc_id                = module.network.vpc_id
  hsm_security_group_id = module.cloudhsm.security_group_id
}

module "eks" {
  source = "../../modules/eks"

  name                = var.name
  subnet_ids          = module.network.private_subnet_ids
  public_access_cidrs = var.public_access_cidrs

  node_groups = {
    # The operator, CoreDNS, and whatever else is on the cluster.
    system = {
      instance_types = ["t3.medium"]
      size           = 2
    }
    # Only these reach the HSMs, and nothing but bakers runs here.
    bakers = {
      instance_types     = ["m7i.large"]
      size               = 2
      security_group_ids = [module.security_groups.clients_security_group_id]
      labels             = { "node-group" = "bakers" }
      taints             = [{ key = "node-group", value = "bakers", effect = "NO_SCHEDULE" }]
    }
  }
}

module "ecr" {
  source = "../../modules/ecr"

  prefix = var.name
}

module "chart" {
  source = "../../modules/chart"
  count  = var.operator_image == null ? 0 : 1

  operator_image = var.operator_image
  signer_image   = var.signer_image
}
