variable "name" {
  description = "The name of the cluster, as a tag."
  type        = string
}

variable "subnet_ids" {
  description = "A private subnet in each zone that is to have an HSM: three. They cannot be changed later."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids: expected at least two, in different zones: AWS's client refuses a key that is on one HSM only."
  }
}

variable "initialised" {
  description = "Whether the cluster is initialised and activated (docs/cloudhsm.md, steps 2 and 4). AWS makes one HSM before that, and the others only after it: apply with false, initialise and activate, then apply with true."
  type        = bool
}

variable "mode" {
  description = "FIPS or NON_FIPS. It cannot be changed later. FIPS is enough for tz2, tz3 and sealed tz4 keys; tz1 needs NON_FIPS."
  type        = string
  default     = "FIPS"

  validation {
    condition     = contains(["FIPS", "NON_FIPS"], var.mode)
    error_message = "mode: expected FIPS or NON_FIPS."
  }
}
