variable "name" {
  description = "What the bucket and the table are named after: NAME-tfstate-ACCOUNT and NAME-tflock."
  type        = string
  default     = "hybrid"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,40}[a-z0-9]$", var.name))
    error_message = "The name is part of a bucket's name: 2 to 42 lower case letters, digits, and hyphens, with a letter first."
  }
}

variable "region" {
  description = "The region of the bucket and the table. Without one, AWS_REGION or the profile says it."
  type        = string
  default     = null
}

variable "bucket" {
  description = "The bucket's name, when it is not to be NAME-tfstate-ACCOUNT."
  type        = string
  default     = null

  validation {
    condition = var.bucket == null || (
      can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket))
      && !can(regex("[.][.]|^xn--|^sthree-|-s3alias$|--ol-s3$|^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+$", var.bucket))
    )
    error_message = "S3 wants 3 to 63 lower case letters, digits, single dots, and hyphens, with a letter or digit at both ends, no IP address, and none of the beginnings and endings that it keeps for itself (xn--, sthree-, -s3alias, --ol-s3)."
  }
}

variable "lock_table" {
  description = "Whether the state is locked in DynamoDB too. The lock file beside the state is always in use; without the table it is the only lock."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "A KMS key for the bucket and the table. Without one AWS encrypts with its own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/.+$", var.kms_key_arn))
    error_message = "A KMS key is named by its ARN: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "backend_file" {
  description = "Where the backend settings of the root are written to, seen from this folder. Empty: nowhere."
  type        = string
  default     = "../backend.hcl"
}

variable "old_versions_days" {
  description = "How many days an old version of a state is kept. The ten newest old versions stay in any case."
  type        = number
  default     = 90

  validation {
    condition     = var.old_versions_days >= 1 && floor(var.old_versions_days) == var.old_versions_days
    error_message = "S3 expires old versions after one day at the earliest."
  }
}
