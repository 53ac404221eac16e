"""Every tool that comes with Grimoire, held against its own declaration."""

import pytest
from django.core.exceptions import ValidationError

from generations.tools import registry
from generations.tools.definition import EXAMPLE_IMAGE_ID
from spells.models import Tool
from spells.schemas import check, check_schema

from .toolbox import adapter_key_of, definitions, keep, picture, request_for, run

DEFINITIONS = definitions()
OF_THE_NETWORK = {
    "file.fetch",
    "http.job",
    "http.request",
    "openai.chat",
    "fal",
    "replicate",
    "replicate.cog",
    "openai.image",
    "openai.responses",
    "runpod",
    "comfydeploy",
    "comfyui",
    "comfyui.upscale",
    "gradio",
}


@pytest.mark.parametrize("key", registry.BUILT_IN)
def test_the_tools_of_an_adapter_have_its_key_or_begin_with_it(key):
    first, *others = (each.slug for each in registry.get(key).definitions)
    assert first == key
    assert [slug for slug in others if not slug.startswith(f"{key}.")] == []


@pytest.mark.parametrize("slug", DEFINITIONS)
def test_schemas_are_schemas_and_describe_each_property(slug):
    definition = DEFINITIONS[slug]
    for name in ("input_schema", "output_schema"):
        schema = getattr(definition, name)
        assert check_schema(schema, path=name) == []
        assert schema["additionalProperties"] is False
        undescribed = [key for key, inner in schema["properties"].items() if not inner.get("description")]
        assert undescribed == []


@pytest.mark.parametrize("slug", DEFINITIONS)
def test_texts_lists_and_numbers_of_params_are_bounded(slug):
    stack = [DEFINITIONS[slug].input_schema]
    while stack:
        schema = stack.pop()
        if schema.get("type") == "string" and "enum" not in schema and schema.get("format") != "uuid":
            assert "maxLength" in schema or "pattern" in schema, schema
        if schema.get("type") == "array":
            assert "maxItems" in schema, schema
        if schema.get("type") == "integer":
            assert "minimum" in schema, schema
        inside = (schema.get("items"), schema.get("additionalProperties"), *schema.get("anyOf", ()), *schema.get("properties", {}).values())
        stack += [inner for inner in inside if isinstance(inner, dict)]


@pytest.mark.parametrize("slug", DEFINITIONS)
def test_configuration_fits_its_schema(slug):
    definition, adapter = DEFINITIONS[slug], registry.get(adapter_key_of(slug))
    assert check_schema(adapter.config_schema, path="config_schema") == []
    assert check(dict(definition.config), adapter.config_schema, path="config") == []
    assert adapter.config_problems(definition.config) == []


@pytest.mark.parametrize("slug", DEFINITIONS)
def test_what_a_definition_says_is_what_its_configuration_declares(slug):
    definition, adapter = DEFINITIONS[slug], registry.get(adapter_key_of(slug))
    declared = adapter.declares(definition.config)
    assert {name: getattr(definition, name) for name in declared} == declared


@pytest.mark.parametrize("slug", DEFINITIONS)
def test_a_row_of_the_definition_passes_the_models_own_validation(slug):
    definition = DEFINITIONS[slug]
    tool = Tool(
        slug=slug,
        name=definition.name,
        description=definition.description,
        category=definition.category,
        adapter=adapter_key_of(slug),
        effects=definition.effects,
        recovery=definition.recovery,
        run_timeout_seconds=definition.run_timeout_seconds,
        input_schema=dict(definition.input_schema),
        output_schema=dict(definition.output_schema),
    )
    try:
        tool.clean_fields()
    except ValidationError as error:
        pytest.fail(str(error))


@pytest.mark.parametrize("slug", sorted(set(DEFINITIONS) - OF_THE_NETWORK))
def test_examples_run(slug):
    image = keep(picture(width=120, height=80), id_=EXAMPLE_IMAGE_ID)
    result = run(request_for(slug, DEFINITIONS[slug].example, readable={image.id: image}))
    assert result.output
    assert result.cost is None


@pytest.mark.parametrize("slug", sorted(OF_THE_NETWORK))
def test_examples_of_the_network_fit_their_schemas(slug):
    assert check(dict(DEFINITIONS[slug].example), DEFINITIONS[slug].input_schema, path="params") == []
