variable "keys" {
  description = "The keys that sign, by name: {baker-one = \"tz3\"}. tz1, tz2 or tz3. The alias of a key is alias/NAME."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for scheme in values(var.keys) : contains(["tz1", "tz2", "tz3"], scheme)])
    error_message = "keys: expected tz1, tz2 or tz3. AWS KMS has no tz4 keys: seal them with sealing_key."
  }
}

variable "sealing_key" {
  description = "The name of a symmetric key that seals tz4 keys (docs/kms.md, step 4), or null: none."
  type        = string
  default     = null
}

variable "deletion_window_in_days" {
  description = "How long a key that is scheduled for deletion can be taken back: 7 to 30 days."
  type        = number
  default     = 30
}
