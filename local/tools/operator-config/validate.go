package main

import (
	"context"
	"encoding/json"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// verdict is what the API server would say, and the fields that it would drop without a word.
type verdict struct {
	Errors  []string `json:"errors"`
	Dropped []string `json:"dropped"`
}

func validate(given *json.Decoder) (any, error) {
	var input struct {
		// YAML.
		CRD    string          `json:"crd"`
		Object json.RawMessage `json:"object"`
	}
	if err := given.Decode(&input); err != nil {
		return nil, err
	}
	// Whole numbers stay such, as in an API server.
	var object map[string]any
	if err := utiljson.Unmarshal(input.Object, &object); err != nil {
		return nil, err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal([]byte(input.CRD), &crd); err != nil {
		return nil, err
	}
	var known apiextensions.JSONSchemaProps
	published := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(published, &known, nil); err != nil {
		return nil, err
	}
	structural, err := schema.NewStructural(&known)
	if err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(&known)
	if err != nil {
		return nil, err
	}
	tracked := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	answer := verdict{Errors: []string{}, Dropped: pruning.PruneWithOptions(object, structural, true, tracked)}
	errors := validation.ValidateCustomResource(nil, object, validator)
	rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
	broken, _ := rules.Validate(
		context.Background(), field.NewPath(""), structural, object, nil, celconfig.RuntimeCELCostBudget)
	for _, each := range append(errors, broken...) {
		answer.Errors = append(answer.Errors, each.Error())
	}
	return answer, nil
}
