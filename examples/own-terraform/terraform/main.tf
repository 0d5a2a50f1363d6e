# A configuration that uses none of the project's modules: a repository, and the output that
# kubectl hybrid reads. docs/contract.md says what each field is.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7"
    }
  }

  # terraform init -backend-config="bucket=YOUR-BUCKET"
  backend "s3" {
    key          = "shop/terraform.tfstate"
    region       = "eu-central-1"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = "eu-central-1"
}

data "aws_caller_identity" "current" {}

resource "aws_ecr_repository" "web" {
  name                 = "shop-${terraform.workspace}/web"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = terraform.workspace != "prod"

  image_scanning_configuration {
    scan_on_push = true
  }
}

output "hybrid" {
  description = "The contract that kubectl hybrid reads."

  value = {
    schema_version = 1
    project        = "shop"
    environment    = terraform.workspace
    workspace      = terraform.workspace

    aws = {
      account_id = data.aws_caller_identity.current.account_id
      region     = "eu-central-1"
      registry   = split("/", aws_ecr_repository.web.repository_url)[0]
    }

    state   = { lock = "lockfile" }
    cluster = { namespace = "shop-${terraform.workspace}" }

    services = {
      web = {
        repository     = aws_ecr_repository.web.name
        repository_url = aws_ecr_repository.web.repository_url
        workload       = { name = "web", container = "server" }
        service        = { name = "web", port = 8080 }
      }
    }
  }
}
