# The shape of the contract, with both providers mocked. Tests run in the selected workspace, and
# "default" is refused: TF_WORKSPACE=dev terraform test

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

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/knowledge-repo-dev-pull" }
  }

  mock_resource "aws_ecr_repository" {
    defaults = { repository_url = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/knowledge-repo-dev/web" }
  }
}

mock_provider "kubernetes" {}

variables {
  project      = "knowledge-repo"
  environment  = "dev"
  region       = "eu-central-1"
  kube_context = "kind-laptop"
  services = {
    web    = { port = 3000, node_port = 30300 }
    worker = {}
  }
}

run "contract" {
  assert {
    condition = (
      output.hybrid.schema_version == 1
      && output.hybrid.project == "knowledge-repo"
      && output.hybrid.environment == "dev"
      && output.hybrid.workspace == terraform.workspace
    )
    error_message = "The head of the contract is not right."
  }

  assert {
    condition = output.hybrid.aws == {
      account_id    = "123456789012"
      region        = "eu-central-1"
      registry      = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
      pull_role_arn = "arn:aws:iam::123456789012:role/knowledge-repo-dev-pull"
    }
    error_message = "The AWS side is not right."
  }

  assert {
    condition     = output.hybrid.state == { lock = "both", lock_table = "hybrid-tflock" }
    error_message = "The locks are not right."
  }

  assert {
    condition = (
      output.hybrid.cluster.namespace == "knowledge-repo-${terraform.workspace}"
      && output.hybrid.cluster.pull_secret == "regcred"
      && output.hybrid.cluster.service_account == "default"
      && length(output.hybrid.cluster.contexts) == 0
    )
    error_message = "The cluster side is not right."
  }

  assert {
    condition = (
      output.hybrid.services["web"].repository == "knowledge-repo-dev/web"
      && output.hybrid.services["web"].repository_url == "${output.hybrid.aws.registry}/knowledge-repo-dev/web"
      && output.hybrid.services["web"].tag_mutability == "MUTABLE"
      && output.hybrid.services["web"].workload == { kind = "Deployment", name = "web", container = "web" }
      && output.hybrid.services["web"].service == { name = "web", port = 3000, node_port = 30300 }
    )
    error_message = "The service web is not right."
  }

  assert {
    condition     = output.hybrid.services["worker"].service == null
    error_message = "A service without a port has no Service."
  }
}

run "another_environments_workspace_is_refused" {
  command = plan

  variables {
    environment = "prod"
  }

  expect_failures = [var.environment]
}

run "a_remote_context_is_refused" {
  command = plan

  variables {
    kube_context = "arn:aws:eks:eu-central-1:123456789012:cluster/prod"
  }

  expect_failures = [var.kube_context]
}

run "a_named_context_is_allowed_and_in_the_contract" {
  command = plan

  variables {
    kube_context     = "lab"
    allowed_contexts = ["lab"]
  }

  assert {
    condition     = output.hybrid.cluster.contexts == tolist(["lab"])
    error_message = "The contract names the allowed contexts."
  }
}

run "names_that_ecr_refuses_are_refused_first" {
  command = plan

  variables {
    project = "Knowledge_Repo"
  }

  expect_failures = [var.project]
}

run "two_services_on_one_node_port_are_refused" {
  command = plan

  variables {
    services = {
      web = { port = 3000, node_port = 30300 }
      api = { port = 3001, node_port = 30300 }
    }
  }

  expect_failures = [var.services]
}

run "a_state_without_the_table_names_none" {
  command = plan

  variables {
    state = { lock = "lockfile" }
  }

  assert {
    condition     = output.hybrid.state.lock == "lockfile" && output.hybrid.state.lock_table == null
    error_message = "A lock file has no table."
  }
}

run "two_load_balancers_on_one_port_are_refused" {
  command = plan

  variables {
    service_type = "LoadBalancer"
    services = {
      web = { port = 3000 }
      api = { port = 3000 }
    }
  }

  expect_failures = [var.services]
}

run "two_services_may_listen_on_one_port_behind_node_ports" {
  command = plan

  variables {
    services = {
      web = { port = 3000 }
      api = { port = 3000 }
    }
  }

  assert {
    condition     = length(output.hybrid.services) == 2
    error_message = "A Service has an address of its own."
  }
}

run "names_of_services_that_ecr_refuses_are_refused_first" {
  command = plan

  variables {
    services = { Web = { port = 3000 } }
  }

  expect_failures = [var.services]
}

run "names_that_are_too_long_are_refused_first" {
  command = plan

  variables {
    project = "a-project-with-a-name-longer-than-30"
  }

  expect_failures = [var.project]
}

run "a_port_that_is_none_is_refused" {
  command = plan

  variables {
    services = { web = { port = 70000 } }
  }

  expect_failures = [var.services]
}

run "a_variable_from_two_places_is_refused" {
  command = plan

  variables {
    services = {
      web = {
        env        = { PASSWORD = "none" }
        secret_env = { PASSWORD = { secret = "web-secrets", key = "password" } }
      }
    }
  }

  expect_failures = [var.services]
}

run "what_is_no_region_is_refused" {
  command = plan

  variables {
    region = "Frankfurt"
  }

  expect_failures = [var.region]
}

run "an_environment_that_could_be_taken_for_a_personal_workspace_is_refused" {
  command = plan

  variables {
    environment = "dev-laptop1"
  }

  expect_failures = [var.environment]
}

run "no_policy_is_wider_than_its_workspaces" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for statement in concat(data.aws_iam_policy_document.read_contract.statement, data.aws_iam_policy_document.operate.statement) : [
        [for action in statement.actions : !strcontains(action, "*")],
        [for resource in statement.resources : !contains(["*", "arn:aws:s3:::hybrid-tfstate-123456789012/*"], resource)],
      ]
    ]))
    error_message = "A policy allows more than it names."
  }

  assert {
    condition = alltrue([
      for action in flatten([for statement in data.aws_iam_policy_document.read_contract.statement : statement.actions]) :
      contains(["s3:ListBucket", "s3:GetObject", "dynamodb:GetItem"], action)
    ])
    error_message = "Whoever may read the contract may write."
  }

  assert {
    condition = toset(flatten([
      for statement in data.aws_iam_policy_document.read_contract.statement : statement.resources if contains(statement.actions, "s3:GetObject")
      ])) == toset(flatten([
      for name in ["dev", "dev-*"] : [
        for end in ["", ".tflock"] : "arn:aws:s3:::hybrid-tfstate-123456789012/env:/${name}/hybrid/terraform.tfstate${end}"
      ]
    ]))
    error_message = "Other states than those of the environment can be read."
  }

  assert {
    condition = !contains(flatten([
      for statement in data.aws_iam_policy_document.operate.statement : statement.resources if contains(statement.actions, "s3:DeleteObject")
    ]), "arn:aws:s3:::hybrid-tfstate-123456789012/env:/dev/hybrid/terraform.tfstate")
    error_message = "The state of the environment can be deleted."
  }
}

run "a_region_other_than_the_registrys_is_refused" {
  command = plan

  variables {
    region = "us-east-1"
  }

  expect_failures = [output.hybrid]
}
