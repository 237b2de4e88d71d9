"""What is added up: the meters and the amounts of `charges` and `rollup`."""

METERS = (
    "input_tokens cached_input_tokens cache_write_5m_tokens cache_write_1h_tokens output_tokens "
    "audio_ms characters images web_searches page_visits code_ms browser_ms"
).split()
AMOUNTS = (
    "input_cost cached_input_cost cache_write_cost output_cost other_cost cost list_cost cache_savings batch_savings"
).split()
