# Who reaches the HSMs: members of one group of clients, which is given to the bakers' nodes or pods and to nothing else.

resource "aws_security_group" "clients" {
  name        = var.name
  description = "May reach CloudHSM"
  vpc_id      = var.vpc_id

  tags = { Name = var.name }
}

resource "aws_vpc_security_group_ingress_rule" "hsm" {
  security_group_id            = var.hsm_security_group_id
  description                  = "The clients of CloudHSM"
  referenced_security_group_id = aws_security_group.clients.id
  ip_protocol                  = "tcp"
  from_port                    = 2223
  to_port                      = 2225
}

resource "aws_vpc_security_group_egress_rule" "hsm" {
  security_group_id            = aws_security_group.clients.id
  description                  = "To the HSMs. What else the node needs, the cluster's own group allows"
  referenced_security_group_id = var.hsm_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 2223
  to_port                      = 2225
}
