locals {
  lock_table = contains(["dynamodb", "both"], var.state.lock) ? var.state.lock_table : null
}

# The contract. Field by field: docs/contract.md.
output "hybrid" {
  description = "The contract that kubectl hybrid reads."

  value = {
    schema_version = 1
    project        = var.project
    environment    = var.environment
    workspace      = terraform.workspace

    aws = {
      account_id    = data.aws_caller_identity.current.account_id
      region        = var.region
      registry      = local.registry
      pull_role_arn = local.pull_role_arn
    }

    state = {
      lock       = var.state.lock
      lock_table = local.lock_table
    }

    cluster = {
      namespace       = local.namespace
      pull_secret     = var.pull_secret
      service_account = var.service_account
      contexts        = var.allowed_contexts
    }

    services = {
      for name, service in var.services : name => {
        repository     = local.repositories[name].name
        repository_url = local.repositories[name].url
        tag_mutability = local.repositories[name].tag_mutability
        workload       = module.kubernetes.workloads[name]
        service        = module.kubernetes.services[name]
      }
    }
  }

  precondition {
    condition     = alltrue([for repository in values(local.repositories) : startswith(repository.url, "${local.registry}/")])
    error_message = "A repository is not in the registry ${local.registry}: is the region of the AWS provider another one?"
  }

  precondition {
    condition     = contains(["lockfile", "none"], var.state.lock) || var.state.lock_table != null
    error_message = "The state is said to be locked in DynamoDB: name the table in state.lock_table."
  }
}

output "policies" {
  description = "IAM policy documents, least privilege each: push, pull, read_contract, operate. Each is ready to attach."
  value       = local.policies
}
