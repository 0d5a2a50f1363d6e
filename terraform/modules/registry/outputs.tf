output "repositories" {
  description = "The repositories by service: name, url, tag_mutability."
  value = {
    for service, repository in aws_ecr_repository.this : service => {
      name           = repository.name
      url            = repository.repository_url
      tag_mutability = repository.image_tag_mutability
    }
  }
}

output "pull_role_arn" {
  description = "The role that may only pull, or null."
  value       = one(aws_iam_role.pull[*].arn)
}

output "pull_policy" {
  description = "The policy document for pulling."
  value       = data.aws_iam_policy_document.pull.json
}

output "push_policy" {
  description = "The policy document for pushing, pulling, and assuming the pull role."
  value       = data.aws_iam_policy_document.push.json
}
