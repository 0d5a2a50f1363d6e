mock_provider "kubernetes" {}

variables {
  namespace = "knowledge-repo-dev"
  services = {
    web = {
      image      = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/knowledge-repo-dev/web:dev"
      port       = 3000
      node_port  = 30300
      env        = { GREETING = "hello" }
      secret_env = { PASSWORD = { secret = "web-secrets", key = "password" } }
    }
    worker = {
      image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/knowledge-repo-dev/worker:dev"
    }
  }
}

run "a_deployment_never_waits_and_names_the_pull_secret" {
  command = plan

  assert {
    condition = (
      !kubernetes_deployment_v1.this["web"].wait_for_rollout
      && kubernetes_deployment_v1.this["web"].spec[0].template[0].spec[0].image_pull_secrets[0].name == "regcred"
      && kubernetes_deployment_v1.this["web"].spec[0].template[0].spec[0].container[0].name == "web"
    )
    error_message = "The deployment waits, or its pods cannot pull."
  }
}

run "ports_bring_probes_and_a_service" {
  command = plan

  assert {
    condition = (
      kubernetes_deployment_v1.this["web"].spec[0].template[0].spec[0].container[0].readiness_probe[0].http_get[0].port == "3000"
      && kubernetes_service_v1.this["web"].spec[0].port[0].node_port == 30300
      && length(kubernetes_deployment_v1.this["worker"].spec[0].template[0].spec[0].container[0].readiness_probe) == 0
      && keys(kubernetes_service_v1.this) == ["web"]
    )
    error_message = "Probes or Services do not follow the ports."
  }
}

run "env_is_plain_or_from_a_secret" {
  command = plan

  assert {
    condition = (
      kubernetes_deployment_v1.this["web"].spec[0].template[0].spec[0].container[0].env[0].value == "hello"
      && kubernetes_deployment_v1.this["web"].spec[0].template[0].spec[0].container[0].env[1].value_from[0].secret_key_ref[0].name == "web-secrets"
    )
    error_message = "The environment of the container is not right."
  }
}

run "who_must_not_be_root_has_a_number" {
  command = plan

  variables {
    services = {
      web = {
        image    = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/knowledge-repo-dev/web:dev"
        non_root = true
      }
      own = {
        image       = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/knowledge-repo-dev/own:dev"
        non_root    = true
        run_as_user = 1000
      }
    }
  }

  assert {
    condition = (
      tonumber(kubernetes_deployment_v1.this["web"].spec[0].template[0].spec[0].container[0].security_context[0].run_as_user) == 65534
      && tonumber(kubernetes_deployment_v1.this["web"].spec[0].template[0].spec[0].container[0].security_context[0].run_as_group) == 65534
      && tonumber(kubernetes_deployment_v1.this["own"].spec[0].template[0].spec[0].container[0].security_context[0].run_as_user) == 1000
    )
    error_message = "A container that must not be root has no user of its own."
  }
}

run "root_is_no_user_for_a_service" {
  command = plan

  variables {
    services = {
      web = {
        image       = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/knowledge-repo-dev/web:dev"
        non_root    = true
        run_as_user = 0
      }
    }
  }

  expect_failures = [var.services]
}

run "the_service_account_is_made_unless_it_is_default" {
  command = plan

  variables {
    service_account = "workloads"
  }

  assert {
    condition     = kubernetes_service_account_v1.this[0].metadata[0].name == "workloads"
    error_message = "The ServiceAccount is not made."
  }
}

run "a_load_balancer_has_no_node_port_in_the_contract" {
  command = plan

  variables {
    service_type = "LoadBalancer"
  }

  assert {
    condition     = output.services["web"].node_port == null
    error_message = "The node port of a load balancer is nobody's business."
  }
}

run "names_that_kubernetes_refuses_are_refused_first" {
  command = plan

  variables {
    services = { Web_Site = { image = "web" } }
  }

  expect_failures = [var.services]
}

run "a_namespace_that_is_none_is_refused" {
  command = plan

  variables {
    namespace = "Knowledge.Repo"
  }

  expect_failures = [var.namespace]
}

run "another_type_of_service_is_refused" {
  command = plan

  variables {
    service_type = "ExternalName"
  }

  expect_failures = [var.service_type]
}
