"""The actions of flows: each is what an ActionUrl of the hosted service means here.

`OURS` says where each stands; nothing is imported before it is wanted. Plug-ins: entry points `relay_parsl.actions`, and `actions:` in the settings.
"""

from __future__ import annotations

OURS: dict[str, str] = {
    'collection_info': 'relay_parsl.flows.actions.collection_info:CollectionInfoAction',
    'compute': 'relay_parsl.flows.actions.compute:Compute',
    'create_guest_collection': 'relay_parsl.flows.actions.create_guest_collection:CreateGuestCollectionAction',
    'datacite': 'relay_parsl.flows.actions.datacite:Datacite',
    'delete': 'relay_parsl.flows.actions.delete:DeleteAction',
    'expression_eval': 'relay_parsl.flows.actions.expression_eval:ExpressionEval',
    'hello_world': 'relay_parsl.flows.actions.hello_world:HelloWorld',
    'ls': 'relay_parsl.flows.actions.listing:LsAction',
    'manage_permission': 'relay_parsl.flows.actions.manage_permission:ManagePermissionAction',
    'mkdir': 'relay_parsl.flows.actions.mkdir:MkdirAction',
    'notify': 'relay_parsl.flows.actions.notify:Notify',
    'search_delete': 'relay_parsl.flows.actions.search:SearchDelete',
    'search_ingest': 'relay_parsl.flows.actions.search:SearchIngest',
    'stat': 'relay_parsl.flows.actions.listing:StatAction',
    'transfer': 'relay_parsl.flows.actions.transfer:TransferAction',
    'web_input': 'relay_parsl.flows.actions.web_input:WebInput',
    'web_input_option': 'relay_parsl.flows.actions.web_input:WebInputOption',
    'web_input_response': 'relay_parsl.flows.actions.web_input:WebInputResponse',
}
"""The actions of this package: name -> `module:Class`."""
