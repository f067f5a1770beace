// terraform-provider-aws and terraform-provider-helm for tests: each has the schema of the real one (../schemas), and makes nothing.
// So Terraform itself checks deploy/terraform: each argument, type and reference. What AWS would say of the values, nobody asks.
//
// An applied resource has what was asked for, and in place of what AWS would fill in, texts of the same form (filled.go). The program knows
// by its own name which of the two it is.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

func main() {
	name := strings.TrimPrefix(filepath.Base(os.Args[0]), "terraform-provider-")
	schemas, err := readSchemas(name)
	if err == nil {
		err = tf6server.Serve("registry.terraform.io/hashicorp/"+name, func() tfprotov6.ProviderServer { return &provider{resources: schemas, name: name} })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// provider answers what Terraform asks of one that has resources only. It asks for nothing else (the embedded interface is nil).
type provider struct {
	tfprotov6.ProviderServer
	name      string
	resources map[string]*tfprotov6.Schema
}

// What the providers of the examples are configured with. The real ones take more.
var configuration = map[string][]*tfprotov6.SchemaAttribute{
	"aws":  {{Name: "region", Type: tftypes.String, Optional: true}},
	"helm": {{Name: "kubernetes", Type: tftypes.DynamicPseudoType, Optional: true}},
}

func (p *provider) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	response := &tfprotov6.GetMetadataResponse{ServerCapabilities: &tfprotov6.ServerCapabilities{}}
	for name := range p.resources {
		response.Resources = append(response.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	return response, nil
}

func (p *provider) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	return &tfprotov6.GetProviderSchemaResponse{
		Provider:        &tfprotov6.Schema{Block: &tfprotov6.SchemaBlock{Attributes: configuration[p.name]}},
		ResourceSchemas: p.resources,
	}, nil
}

func (p *provider) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (p *provider) ValidateProviderConfig(_ context.Context, request *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: request.Config}, nil
}

func (p *provider) ConfigureProvider(context.Context, *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return &tfprotov6.ConfigureProviderResponse{}, nil
}

func (p *provider) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func (p *provider) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil // Terraform has compared it with the schema
}

func (p *provider) UpgradeResourceState(_ context.Context, request *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	type_ := p.resources[request.TypeName].ValueType()
	value, err := request.RawState.Unmarshal(type_)
	if err != nil {
		return nil, err
	}
	state, err := tfprotov6.NewDynamicValue(type_, value)
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &state}, err
}

func (p *provider) ReadResource(_ context.Context, request *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	return &tfprotov6.ReadResourceResponse{NewState: request.CurrentState, Private: request.Private}, nil
}

// A plan is what was asked for. What AWS fills in is unknown.
func (p *provider) PlanResourceChange(_ context.Context, request *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	planned, err := p.change(request.TypeName, request.ProposedNewState, func(_, _ string, computed bool, value tftypes.Value) tftypes.Value {
		if computed && value.IsNull() {
			return tftypes.NewValue(value.Type(), tftypes.UnknownValue)
		}
		return value
	})
	return &tfprotov6.PlanResourceChangeResponse{PlannedState: planned, PlannedPrivate: request.PriorPrivate}, err
}

func (p *provider) ApplyResourceChange(_ context.Context, request *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	state, err := p.change(request.TypeName, request.PlannedState, func(name, path string, _ bool, value tftypes.Value) tftypes.Value {
		if value.IsKnown() {
			return value
		}
		return filled(request.TypeName, name, path, value.Type())
	})
	return &tfprotov6.ApplyResourceChangeResponse{NewState: state, Private: request.PlannedPrivate}, err
}

// change replaces the attributes of a resource. to gets the resource's own name, the attribute's path, and whether AWS may fill it in.
func (p *provider) change(type_ string, state *tfprotov6.DynamicValue, to func(name, path string, computed bool, value tftypes.Value) tftypes.Value) (*tfprotov6.DynamicValue, error) {
	schema := p.resources[type_]
	value, err := state.Unmarshal(schema.ValueType())
	if err != nil || value.IsNull() {
		return state, err // it is deleted
	}
	name := nameOf(value)
	changed, err := changeBlock(schema.Block, "", value, func(path string, computed bool, value tftypes.Value) tftypes.Value {
		return to(name, path, computed, value)
	})
	if err != nil {
		return nil, err
	}
	result, err := tfprotov6.NewDynamicValue(schema.ValueType(), changed)
	return &result, err
}

func changeBlock(block *tfprotov6.SchemaBlock, prefix string, value tftypes.Value, to func(path string, computed bool, value tftypes.Value) tftypes.Value) (tftypes.Value, error) {
	fields := map[string]tftypes.Value{}
	if value.IsNull() || !value.IsKnown() {
		return value, nil
	}
	if err := value.As(&fields); err != nil {
		return value, err
	}
	for _, attribute := range block.Attributes {
		fields[attribute.Name] = to(prefix+attribute.Name, attribute.Computed, fields[attribute.Name])
	}
	for _, nested := range block.BlockTypes {
		below := fields[nested.TypeName]
		if below.IsNull() || !below.IsKnown() {
			continue
		}
		path := prefix + nested.TypeName + "."
		if nested.Nesting == tfprotov6.SchemaNestedBlockNestingModeSingle {
			changed, err := changeBlock(nested.Block, path, below, to)
			if err != nil {
				return value, err
			}
			fields[nested.TypeName] = changed
			continue
		}
		var items []tftypes.Value
		if err := below.As(&items); err != nil {
			return value, err
		}
		for i := range items {
			changed, err := changeBlock(nested.Block, path, items[i], to)
			if err != nil {
				return value, err
			}
			items[i] = changed
		}
		fields[nested.TypeName] = tftypes.NewValue(below.Type(), items)
	}
	return tftypes.NewValue(value.Type(), fields), nil
}
