terraform {
  # The rest comes from backend.hcl, which bootstrap prints:
  # terraform init -backend-config=backend.hcl
  backend "s3" {
    key     = "hybrid/terraform.tfstate"
    encrypt = true
  }
}
