data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

module "registry" {
  source = "./modules/registry"
  count  = local.owns_registry ? 1 : 0

  prefix          = "${var.project}-${var.environment}"
  keep_images     = var.keep_images
  moving_tags     = [var.environment, "${var.environment}-*"]
  force_delete    = var.environment != "prod"
  kms_key_arn     = var.kms_key_arn
  pull_role       = var.pull_role
  pull_role_trust = var.pull_role_trust

  repositories = {
    for name, service in var.services : name => {
      tag_mutability = coalesce(service.tag_mutability, var.tag_mutability)
    }
  }
}

# In a personal workspace the registry is looked up, never changed. A repository that is not there
# yet ends the plan: apply the environment's own workspace first.
data "aws_ecr_repository" "shared" {
  for_each = local.owns_registry ? {} : var.services

  name = "${var.project}-${var.environment}/${each.key}"
}

data "aws_iam_role" "shared_pull" {
  count = !local.owns_registry && var.pull_role ? 1 : 0

  name = "${var.project}-${var.environment}-pull"
}

locals {
  repositories = local.owns_registry ? module.registry[0].repositories : {
    for name, repository in data.aws_ecr_repository.shared : name => {
      name           = repository.name
      url            = repository.repository_url
      tag_mutability = repository.image_tag_mutability
    }
  }

  pull_role_arn = local.owns_registry ? module.registry[0].pull_role_arn : one(data.aws_iam_role.shared_pull[*].arn)

  # Every repository URL begins with the registry's host. Without services there is none to ask.
  dns_suffix = data.aws_partition.current.dns_suffix
  registry   = "${data.aws_caller_identity.current.account_id}.dkr.ecr.${var.region}.${local.dns_suffix}"
}
