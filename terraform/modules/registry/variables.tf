variable "prefix" {
  description = "What the repositories begin with: PREFIX/SERVICE. The pull role is named PREFIX-pull."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]+([._-][a-z0-9]+)*$", var.prefix)) && length(var.prefix) <= 59
    error_message = "ECR wants lower case letters and digits with single separators, and a role's name ends at 64 characters."
  }
}

variable "repositories" {
  description = "The repositories by the name of their service."
  type = map(object({
    tag_mutability = optional(string, "MUTABLE")
  }))

  validation {
    condition     = alltrue([for name in keys(var.repositories) : can(regex("^[a-z0-9]+([._-][a-z0-9]+)*$", name)) && length("${var.prefix}/${name}") <= 256])
    error_message = "ECR wants lower case letters and digits with single separators (hyphen, dot, underscore), and at most 256 characters with the prefix."
  }

  validation {
    condition     = alltrue([for repository in values(var.repositories) : contains(["MUTABLE", "IMMUTABLE"], repository.tag_mutability)])
    error_message = "tag_mutability is MUTABLE or IMMUTABLE."
  }
}

variable "keep_images" {
  description = "How many tagged images each repository keeps."
  type        = number
  default     = 50

  validation {
    condition     = var.keep_images >= 1 && floor(var.keep_images) == var.keep_images
    error_message = "At least one image has to be kept."
  }
}

variable "untagged_days" {
  description = "How many days an image stays after its last tag has moved away."
  type        = number
  default     = 7

  validation {
    condition     = var.untagged_days >= 1 && floor(var.untagged_days) == var.untagged_days
    error_message = "ECR counts whole days, at least one."
  }
}

variable "moving_tags" {
  description = "Patterns of the tags that move, one for each workspace. What they point at is never expired."
  type        = list(string)

  validation {
    condition     = length(var.moving_tags) >= 1 && length([for tag in var.moving_tags : tag if strcontains(tag, "*")]) <= 4
    error_message = "ECR wants at least one pattern, and at most four wildcards in a rule."
  }
}

variable "force_delete" {
  description = "Whether destroy removes a repository that still holds images. It has to be applied before it works."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "A KMS key for the layers. Without one ECR encrypts with AES256."
  type        = string
  default     = null
}

variable "pull_role" {
  description = "Whether there is a role that may only pull."
  type        = bool
  default     = true
}

variable "pull_role_trust" {
  description = "The principals that may assume the pull role. Empty means every principal of the account whose own policy allows it."
  type        = list(string)
  default     = []
}
