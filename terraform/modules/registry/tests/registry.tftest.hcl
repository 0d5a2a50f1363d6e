mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }

  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  prefix      = "knowledge-repo-dev"
  moving_tags = ["dev", "dev-*"]
  repositories = {
    web = {}
    api = { tag_mutability = "IMMUTABLE" }
  }
}

run "repositories_are_scanned_and_encrypted" {
  command = plan

  assert {
    condition = alltrue([
      for repository in values(aws_ecr_repository.this) :
      repository.image_scanning_configuration[0].scan_on_push
      && repository.encryption_configuration[0].encryption_type == "AES256"
      && !repository.force_delete
    ])
    error_message = "A repository is not scanned, not encrypted, or easy to lose."
  }

  assert {
    condition = (
      aws_ecr_repository.this["web"].name == "knowledge-repo-dev/web"
      && aws_ecr_repository.this["web"].image_tag_mutability == "MUTABLE"
      && aws_ecr_repository.this["api"].image_tag_mutability == "IMMUTABLE"
    )
    error_message = "A repository has another name or mutability."
  }
}

run "the_moving_tag_is_protected_before_anything_expires" {
  command = plan

  variables {
    keep_images = 20
  }

  assert {
    condition = [
      for rule in jsondecode(aws_ecr_lifecycle_policy.this["web"].policy).rules : rule.selection.tagStatus
    ] == ["tagged", "untagged", "any"]
    error_message = "The rules are not in the order that protects."
  }

  assert {
    condition = (
      jsondecode(aws_ecr_lifecycle_policy.this["web"].policy).rules[0].selection.tagPatternList == ["dev", "dev-*"]
      && jsondecode(aws_ecr_lifecycle_policy.this["web"].policy).rules[2].selection.countNumber == 20
    )
    error_message = "The rules do not say what was asked for."
  }
}

run "the_pull_role_can_be_left_out" {
  command = plan

  variables {
    pull_role = false
  }

  assert {
    condition     = length(aws_iam_role.pull) == 0 && output.pull_role_arn == null
    error_message = "There is a pull role."
  }
}

run "upper_case_is_refused" {
  command = plan

  variables {
    repositories = { Web = {} }
  }

  expect_failures = [var.repositories]
}
