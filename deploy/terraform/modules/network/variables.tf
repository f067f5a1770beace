variable "name" {
  description = "The name of the VPC, and the prefix of the names in it."
  type        = string
}

variable "region" {
  description = "The region, as in the names of the endpoints' services, such as eu-central-1."
  type        = string
}

variable "cidr" {
  description = "The addresses of the VPC: a block of 16 bits. Each zone gets a private subnet of 19 bits (8 190 addresses: with the VPC CNI, each pod has one), and a public one of 24 bits."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && endswith(var.cidr, "/16")
    error_message = "cidr: expected a block of 16 bits, such as 10.0.0.0/16."
  }
}

variable "availability_zones" {
  description = "The zones, such as [\"eu-central-1a\", \"eu-central-1b\", \"eu-central-1c\"]. CloudHSM is not in every zone: use three in which it is, because a key is safe from the loss of a zone only on HSMs in others."
  type        = list(string)

  validation {
    condition     = length(var.availability_zones) >= 2 && length(var.availability_zones) <= 3
    error_message = "availability_zones: expected two or three: EKS requires two, and three HSMs need three."
  }
}

variable "nat_gateway" {
  description = "Whether the private subnets reach the internet, by one NAT gateway in the first zone. The Octez node finds its peers there. Without it, the endpoints must cover all that the nodes need."
  type        = bool
  default     = true
}

variable "interface_endpoints" {
  description = "The services that the private subnets reach without the internet, by their names in com.amazonaws.REGION.NAME: kms for keys in AWS KMS, cloudhsmv2 for clusterId, sts for IRSA, eks-auth for Pod Identity, ecr.api and ecr.dkr for images. Each costs per hour and zone: docs/costs.md."
  type        = list(string)
  default     = []
}
