variable "name" {
  description = "The name of the group of clients."
  type        = string
  default     = "cloudhsm-clients"
}

variable "vpc_id" {
  description = "The VPC of the HSMs and of the nodes."
  type        = string
}

variable "hsm_security_group_id" {
  description = "The security group of the HSMs: security_group_id of the module cloudhsm."
  type        = string
}
